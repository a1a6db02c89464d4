"""Small values that satisfy a JSON schema, for simulated answers."""

from __future__ import annotations

import math
from typing import Any

MAX_DEPTH = 16
# A schema of a few lines can ask for more values than memory holds.
MAX_VALUES = 1_000
MAX_CHARACTERS = 10_000
# Beyond it, whole numbers are not the same to all who read JSON.
MAX_WHOLE = 2**53

_JOINING = frozenset({"$ref", "allOf", "anyOf", "oneOf"})

_FORMATS = {
    "date": "2025-01-01",
    "date-time": "2025-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "simulated@example.com",
    "uri": "https://example.com/simulated",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}


def example_of(schema: Any) -> Any:
    """Makes a small value for a JSON schema: its constant, default, first enum value, or what its type asks for.

    It covers the keywords that models are given in practice: type, properties, required, items, prefixItems, bounds,
    multipleOf, common formats, const, enum, default, anyOf, oneOf, allOf, and references within the schema. Others,
    as patterns, are not looked at. Beyond about 1,000 values or 16 levels it stops.
    """
    return _Maker(schema).value(schema, 0)


class _Maker:
    """Makes the values of one schema, and counts them."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = MAX_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if not isinstance(schema, dict) or depth > MAX_DEPTH or self._left < 0:
            return None
        schema = self._flat(schema, depth)
        for keyword in ("const", "default"):
            if keyword in schema:
                return schema[keyword]
        if schema.get("enum"):
            return schema["enum"][0]
        kind = schema.get("type", _implied_type(schema))
        return self._of_type(kind[0] if isinstance(kind, list) and kind else kind, schema, depth)

    def _flat(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """Puts what a schema refers to, all of `allOf`, and the first of each choice into one."""
        flat = {name: rule for name, rule in schema.items() if name not in _JOINING}
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            return flat
        parts = [self._referred(schema["$ref"])] if "$ref" in schema else []
        parts += schema.get("allOf") or []
        parts += [schema[keyword][0] for keyword in ("anyOf", "oneOf") if schema.get(keyword)]
        for part in parts:
            if isinstance(part, dict):
                flat = _joined(flat, self._flat(part, depth + 1))
        return flat

    def _referred(self, reference: Any) -> Any:
        found = self._root
        if not isinstance(reference, str) or not reference.startswith("#"):
            return {}
        for step in reference[1:].split("/")[1:]:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found

    def _of_type(self, kind: Any, schema: dict[str, Any], depth: int) -> Any:
        if kind == "object":
            properties = schema.get("properties") or {}
            required = dict.fromkeys(schema.get("required") or ())
            return {name: self.value(properties.get(name), depth + 1) for name in required}
        if kind == "array":
            return self._list(schema, depth)
        if kind == "string":
            return _string(schema)
        if kind in ("integer", "number"):
            return _number(schema, whole=kind == "integer")
        return False if kind == "boolean" else None

    def _list(self, schema: dict[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems") or []
        values: list[Any] = []
        while len(values) < schema.get("minItems", 0) and self._left > 0:
            item = first[len(values)] if len(values) < len(first) else schema.get("items")
            values.append(self.value(item, depth + 1))
        return values


def _joined(schema: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Joins two schemas; of rules that both have, the first one's counts, but for properties and what is required."""
    joined = {**other, **schema}
    for name in ("properties", "required"):
        if name in schema and name in other:
            both = schema[name], other[name]
            joined[name] = {**both[1], **both[0]} if name == "properties" else [*both[0], *both[1]]
    return joined


def _implied_type(schema: dict[str, Any]) -> str:
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "null"


def _string(schema: dict[str, Any]) -> str:
    text = _FORMATS.get(schema.get("format", ""), "simulated")
    padded = text.ljust(min(int(schema.get("minLength", 0)), MAX_CHARACTERS), ".")
    return padded[: min(int(schema.get("maxLength", MAX_CHARACTERS)), MAX_CHARACTERS)]


def _number(schema: dict[str, Any], *, whole: bool) -> float:
    """Gives 0 where it fits, or the first of some likely numbers within the bounds."""
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    step = schema.get("multipleOf")
    likely: list[float] = [0]
    for bound in (low, high):
        if bound is not None and abs(bound) < MAX_WHOLE:
            likely += [bound, math.floor(bound), math.floor(bound) + 1, math.ceil(bound) - 1]
        if bound is not None and step and abs(bound / step) < MAX_WHOLE:
            likely += [math.floor(bound / step) * step, (math.floor(bound / step) + 1) * step]
            likely.append((math.ceil(bound / step) - 1) * step)
    if low is not None and high is not None:
        likely.append((low + high) / 2)
    fitting = (number for number in likely if _fits(number, schema, whole=whole))
    found = next(fitting, 0)
    return int(found) if whole else found


def _fits(number: float, schema: dict[str, Any], *, whole: bool) -> bool:
    step = schema.get("multipleOf")
    return (
        abs(number) < MAX_WHOLE
        and (not whole or number == int(number))
        and schema.get("minimum", number) <= number <= schema.get("maximum", number)
        and schema.get("exclusiveMinimum", -math.inf) < number < schema.get("exclusiveMaximum", math.inf)
        and (not step or number % step == 0)
    )
