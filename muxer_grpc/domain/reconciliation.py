"""The ledger beside a provider's invoice, by model and day. Amounts are exact: decimals of USD, and integers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal

# As invoices and their exports write amounts, small ones with an exponent; all of it fits into EXACT.
_AMOUNT = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
EXACT = Context(prec=400)
NANO_DIGITS = 9
NOTHING = Decimal(0)


def read_amount(text: str) -> Decimal:
    """Reads an amount of USD exactly. Raises ValueError."""
    bare = text.strip().removeprefix("$")
    if not _AMOUNT.fullmatch(bare):
        msg = f"{text!r} is not an amount like 12.34"
        raise ValueError(msg)
    return Decimal(bare, EXACT)


@dataclass(frozen=True, slots=True)
class Line:
    """What one side says of a model on a day. `tokens` is None where it does not say."""

    day: date
    model: str
    cost_usd: Decimal
    tokens: int | None = None


def booked(day: date, model: str, cost_nano_usd: int, tokens: int) -> Line:
    """Gives what the ledger says."""
    return Line(day, model, EXACT.scaleb(Decimal(cost_nano_usd), -NANO_DIGITS), tokens)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides of a model on a day; a side that says nothing of it is None."""

    day: date
    model: str
    invoiced: Line | None
    booked: Line | None
    within: bool

    @property
    def difference_usd(self) -> Decimal:
        """Gives what the invoice asks for beyond what the ledger has."""
        return EXACT.subtract(_cost(self.invoiced), _cost(self.booked))


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two sides may differ and still agree: by so many USD, or by a share of what is invoiced (percent)."""

    usd: Decimal = NOTHING
    percent: Decimal = NOTHING

    def allows(self, invoiced: Decimal, in_ledger: Decimal) -> bool:
        """Tells whether two amounts agree."""
        difference = abs(EXACT.subtract(invoiced, in_ledger))
        share = EXACT.multiply(abs(invoiced), EXACT.scaleb(self.percent, -2))
        return difference <= max(self.usd, share)


def compare(
    invoice: Iterable[Line],
    ledger: Iterable[Line],
    tolerance: Tolerance,
    *,
    provider: str = "",
    names: Mapping[str, str] | None = None,
) -> list[Comparison]:
    """Compares by model and day, in that order of the days; lines of one model and day are summed.

    An invoice's name of a model is looked up in `names`, or else is the ledger's own, or else that of the one model of
    the ledger (of the provider, where one is named) that its vendor calls so.
    """
    in_ledger = _summed(ledger)
    known = {model for _, model in in_ledger}
    told = names or {}
    invoiced = _summed(
        Line(line.day, _name_in(known, told.get(line.model, line.model), provider), line.cost_usd, line.tokens)
        for line in invoice
    )
    found = []
    for day, model in sorted({*in_ledger, *invoiced}):
        theirs, ours = invoiced.get((day, model)), in_ledger.get((day, model))
        found.append(Comparison(day, model, theirs, ours, tolerance.allows(_cost(theirs), _cost(ours))))
    return found


def _summed(lines: Iterable[Line]) -> dict[tuple[date, str], Line]:
    sums: dict[tuple[date, str], Line] = {}
    for line in lines:
        key = (line.day, line.model)
        before = sums.get(key)
        if before is not None:
            unsaid = before.tokens is None or line.tokens is None
            tokens = None if unsaid else (before.tokens or 0) + (line.tokens or 0)
            line = Line(*key, EXACT.add(before.cost_usd, line.cost_usd), tokens)  # noqa: PLW2901
        sums[key] = line
    return sums


def _name_in(known: set[str], name: str, provider: str) -> str:
    if name in known:
        return name
    fitting: Sequence[str] = [
        each for each in known if each.partition("/")[2] == name and provider in ("", each.partition("/")[0])
    ]
    if len(fitting) == 1:
        return fitting[0]
    return f"{provider}/{name}" if provider and "/" not in name else name


def _cost(line: Line | None) -> Decimal:
    return NOTHING if line is None else line.cost_usd
