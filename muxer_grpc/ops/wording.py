"""How figures are written for people who look for a second."""

from __future__ import annotations

from datetime import UTC, datetime

NOT_KNOWN = "\u2013"
# A number and its unit stay on one line.
SPACE = "\u00a0"
NANO, NANO_DIGITS = 1_000_000_000, 9
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def usd(nano_usd: int) -> str:
    """Writes an amount: cents from a dollar on, three digits that count below: `$12.34`, `$0.0126`, `$0.0000127`."""
    if nano_usd == 0:
        return "$0"
    amount = nano_usd / NANO
    if abs(amount) >= 1:
        return f"${amount:,.2f}"
    zeros = NANO_DIGITS - len(str(abs(nano_usd)))
    digits = f"{amount:.{min(NANO_DIGITS, zeros + 3)}f}".rstrip("0")
    return f"${digits}{'0' * (4 - len(digits))}"


def percent(rate: float | None) -> str:
    """Writes a share of 0 to 1; only what is whole is 100 percent."""
    if rate is None:
        return NOT_KNOWN
    told = f"{100 * rate:.1f}"
    if told == "100.0":
        told = "100" if rate >= 1 else "99.9"
    return f"{told}{SPACE}%"


def duration(seconds: float | None) -> str:
    """Writes what a call takes: `820 ms`, `1.36 s`, `12.4 s`."""
    if seconds is None:
        return NOT_KNOWN
    if 0 < seconds < 0.0005:
        return f"<1{SPACE}ms"
    if seconds < 1:
        return f"{1_000 * seconds:.0f}{SPACE}ms"
    return f"{seconds:.2f}{SPACE}s" if seconds < 10 else f"{seconds:,.1f}{SPACE}s"


def span(seconds: float, *, exact: bool = True) -> str:
    """Writes a time that goes on: `42 s`, `5 min 3 s`, `3 h 12 min`, `4 d 3 h`; not exact, its first part alone."""
    whole = max(0, int(seconds))
    for unit, name, part, part_name in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", 1, "s")):
        if whole >= unit:
            rest = f" {whole % unit // part} {part_name}" if exact else ""
            return f"{whole // unit} {name}{rest}"
    return f"{whole} s"


def ago(at: float | None, now: float) -> str:
    """Writes how long ago a time was."""
    if at is None:
        return NOT_KNOWN
    return "now" if now - at < 1 else f"{span(now - at, exact=False)} ago"


def per_minute(rate: float) -> str:
    """Writes a rate: `0`, `0.4`, `12.3`, `1,234`."""
    if rate == 0:
        return "0"
    return f"{rate:.1f}" if rate < 100 else f"{rate:,.0f}"


def clock(at: float) -> str:
    """Writes the time of day, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"


def stamp(at: float) -> str:
    """Writes date and time of day, in UTC, as machines read it."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def count(number: int, one: str, many: str = "") -> str:
    """Writes a number of things: `1 call`, `2 calls`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
