"""Collects every broken rule of a request, so that a caller hears of all at once."""

from __future__ import annotations

from muxer_grpc.domain.errors import InvalidRequest, Violation

# Errors travel in trailers, whose soft limit is 8 KB: the first ones are enough to act on.
MAX_VIOLATIONS = 25
MAX_QUOTED_CHARACTERS = 60


class Violations:
    """A growing list of broken rules."""

    def __init__(self) -> None:
        self._found: list[Violation] = []

    def add(self, field: str, rule: str, description: str) -> None:
        """Notes a broken rule: where (a path like `spec.messages[2].role`), its stable name, and what to do."""
        if len(self._found) < MAX_VIOLATIONS:
            self._found.append(Violation(field[:200], rule, description[:300]))

    def check(self, holds: bool, field: str, rule: str, description: str) -> bool:
        """Notes a broken rule unless it holds; gives back whether it holds."""
        if not holds:
            self.add(field, rule, description)
        return holds

    @property
    def found(self) -> tuple[Violation, ...]:
        """Gives what was found so far."""
        return tuple(self._found)

    def raise_if_any(self) -> None:
        """Raises InvalidRequest when a rule was broken."""
        if self._found:
            raise InvalidRequest(self._found)


def quote(text: str) -> str:
    """Quotes a caller's name for an error message, cut to a bearable length."""
    return repr(text if len(text) <= MAX_QUOTED_CHARACTERS else f"{text[:MAX_QUOTED_CHARACTERS]}…")
