"""Files, functions and ports stay small, and modules are named by what is in them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("muxer_grpc", "clients/python/src", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "_pb2" not in path.name
)
PRODUCT = [path for path in SOURCES if "tests" not in path.relative_to(ROOT).parts]

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_NESTING = 4
MAX_PORT_METHODS = 5
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "base", "manager", "misc", "processor", "engine"}
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_a_file_is_one_room() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: count for name, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_a_module_is_named_by_what_is_in_it() -> None:
    assert [name_of(path) for path in SOURCES if path.stem in EMPTY_NAMES] == []


def long_or_deep(path: Path) -> Iterator[str]:
    """Names the functions of a file that are too long or nest too deep."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{name_of(path)}:{node.lineno} {node.name} has {lines} lines"
            depth = nesting(node)
            if depth > MAX_NESTING:
                yield f"{name_of(path)}:{node.lineno} {node.name} nests {depth} levels"


def test_functions_are_short_and_flat() -> None:
    assert [where for path in PRODUCT for where in long_or_deep(path)] == []


def nesting(node: ast.AST) -> int:
    """Measures how deep blocks nest; an elif is no deeper than its if."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        inner = nesting(child)
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        deepest = max(deepest, inner + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def test_ports_have_at_most_five_methods() -> None:
    tree = ast.parse((ROOT / "muxer_grpc/domain/ports.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(getattr(b, "id", "") == "Protocol" for b in node.bases):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            assert 1 <= len(methods) <= MAX_PORT_METHODS, node.name


def undescribed(path: Path) -> Iterator[str]:
    """Names the public things of a file, and the file, that have no docstring."""
    tree = ast.parse(path.read_text())
    if not ast.get_docstring(tree):
        yield name_of(path)
    for node in tree.body:
        public = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_"
        if public and not ast.get_docstring(node):
            yield f"{name_of(path)}:{node.lineno} {node.name}"


def test_every_public_thing_says_what_it_is_for() -> None:
    assert [where for path in PRODUCT for where in undescribed(path)] == []
