"""Checks JSON texts of callers: objects and schemas."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import jsonschema_rs

MAX_SCHEMA_CHARACTERS = 100_000
MAX_DEPTH = 64


def json_object_problem(text: str) -> str:
    """Says what is wrong with a text that should be a JSON object; nothing when it is one."""
    value, problem = _parsed(text)
    if problem:
        return problem
    return "" if isinstance(value, dict) else "must be a JSON object"


# The same few schemas come with every request of an application.
@lru_cache(maxsize=512)
def json_schema_problem(text: str) -> str:
    """Says what is wrong with a text that should be a JSON schema (draft 2020-12 unless it names another)."""
    if len(text) > MAX_SCHEMA_CHARACTERS:
        return f"must have at most {MAX_SCHEMA_CHARACTERS} characters"
    value, problem = _parsed(text)
    if problem:
        return problem
    if not isinstance(value, dict):
        return "must be a JSON object"
    try:
        jsonschema_rs.meta.validate(value)
    except jsonschema_rs.ValidationError as error:
        path = "/".join(str(step) for step in error.instance_path)
        return f"is not a JSON schema: the value at {'/' + path[:80]!r} breaks the schema language"
    except (jsonschema_rs.ReferencingError, ValueError):
        return "is not a JSON schema: it names a schema language that is not known"
    return ""


def _parsed(text: str) -> tuple[Any, str]:
    try:
        value = json.loads(text)
    except RecursionError:
        return None, f"must nest at most {MAX_DEPTH} levels"
    except ValueError as error:
        position = getattr(error, "pos", 0)
        return None, f"must be JSON; it breaks at character {position}"
    if _depth(value) > MAX_DEPTH:
        return None, f"must nest at most {MAX_DEPTH} levels"
    return value, ""


def _depth(value: Any) -> int:
    """Measures nesting without recursion."""
    deepest = 0
    stack = [(value, 1)]
    while stack:
        current, depth = stack.pop()
        if isinstance(current, dict):
            children: list[Any] = list(current.values())
        elif isinstance(current, list):
            children = current
        else:
            continue
        deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            return deepest
        stack.extend((child, depth + 1) for child in children)
    return deepest
