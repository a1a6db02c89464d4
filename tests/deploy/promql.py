"""Reads from a PromQL expression which metrics it asks for, and which labels of each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

IDENTIFIER = r"[a-zA-Z_][a-zA-Z0-9_:]*"
GROUPING = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)"
WORDS = {"and", "or", "unless", "offset", "bool", "inf"}


@dataclass
class Asked:
    """What an expression asks for: labels with the values they are compared with, by metric, and what it groups by."""

    labels: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)


def asked_by(expr: str) -> Asked:
    """Reads an expression; what Grafana fills in is filled in."""
    found = Asked()
    rest = re.sub(r"\[[^\]]*\]", "", expr)

    def group(match: re.Match[str]) -> str:
        found.groups |= {name.strip() for name in match[1].split(",") if name.strip()}
        return " "

    def selector(match: re.Match[str]) -> str:
        asked = found.labels.setdefault(match[1], {})
        for label, _, value in re.findall(rf'({IDENTIFIER})(=~|!~|!=|=)"([^"]*)"', match[2]):
            asked.setdefault(label, set()).update(value.split("|"))
        return " "

    rest = re.sub(GROUPING, group, rest)
    rest = re.sub(rf"({IDENTIFIER})\{{([^}}]*)\}}", selector, rest)
    rest = re.sub(r"\boffset \w+", " ", rest)
    rest = re.sub(rf"{IDENTIFIER}\s*\(", " ", rest)
    for name in re.findall(rf"(?<![\w.]){IDENTIFIER}", rest):
        if name not in WORDS:
            found.labels.setdefault(name, {})
    return found
