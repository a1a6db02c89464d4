"""The time that a report is about, as people type it, and what it is narrowed to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from muxer_grpc.cli.times import read_duration

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp
    from muxer.v1 import ledger_pb2

MOMENT = "a date like 2026-12-01, a time like 2026-12-01T08:30, or how long ago, as 7d"
From = Annotated[str | None, typer.Option("--from", help=f"Only from this time on: {MOMENT}.")]
To = Annotated[str | None, typer.Option("--to", help="Only before this time.")]
TimeZone = Annotated[str, typer.Option(help="Time zone of dates and buckets, as in the IANA database.")]
Tenant = Annotated[str, typer.Option(help="Only of this tenant; default: all that you may see.")]
User = Annotated[str, typer.Option(help="Only of this user.")]
Key = Annotated[str, typer.Option(help="Only of this key.")]
Model = Annotated[str, typer.Option(help="Only of this model, by its full name.")]
Provider = Annotated[str, typer.Option(help="Only of this provider.")]
Intent = Annotated[str, typer.Option(help="Only of this kind of task, as code_gen.")]
Strategy = Annotated[str, typer.Option(help="Only of this strategy.")]
Outcome = Annotated[str, typer.Option(help="Only of this outcome, as complete.")]
Label = Annotated[list[str] | None, typer.Option(help="Only with this label, as key=value; may be repeated.")]
Most = Annotated[int, typer.Option("--limit", min=1, help="Shows so many, the latest.")]


def moment(option: str, text: str | None, zone: str) -> Timestamp | None:
    """Reads a moment; what names no zone is of the given one. Raises ValueError."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    from google.protobuf.timestamp_pb2 import Timestamp

    from muxer_grpc.domain.administration import is_time_zone

    if not is_time_zone(zone):
        msg = f"--time-zone {zone!r} is not in the IANA database"
        raise ValueError(msg)
    if text is None:
        return None
    message = Timestamp()
    try:
        at = datetime.fromisoformat(text)
        message.FromDatetime(at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC))
    except (ValueError, OverflowError):
        try:
            message.FromDatetime(datetime.now(UTC) - read_duration(option, text))
        except (ValueError, OverflowError):
            msg = f"{option} {text!r} is not {MOMENT}"
            raise ValueError(msg) from None
    return message


def ledger_filter(
    *,
    tenant: str = "",
    user: str = "",
    key: str = "",
    model: str = "",
    provider: str = "",
    intent: str = "",
    strategy: str = "",
    outcome: str = "",
    labels: list[str] | None = None,
    since: str | None = None,
    until: str | None = None,
    zone: str = "UTC",
) -> ledger_pb2.LedgerFilter:
    """Makes the filter of what was given. Raises ValueError."""
    from muxer.v1 import ledger_pb2, routing_pb2

    return ledger_pb2.LedgerFilter(
        tenant_id=tenant,
        user_id=user,
        key_id=key,
        model=model,
        provider=provider,
        intent=enum_number("--intent", intent, routing_pb2.Intent, "INTENT_"),  # type: ignore[arg-type]
        strategy=strategy,
        outcome=enum_number("--outcome", outcome, ledger_pb2.EntryOutcome, "ENTRY_OUTCOME_"),  # type: ignore[arg-type]
        labels=_pairs(labels),
        since=moment("--from", since, zone),
        until=moment("--to", until, zone),
    )


def enum_number(option: str, word: str, enum: object, prefix: str) -> int:
    """Reads a word of an enum; nothing is unspecified. Raises ValueError."""
    numbers: dict[str, int] = dict(enum.items())  # type: ignore[attr-defined]
    words = {name.removeprefix(prefix).lower(): number for name, number in numbers.items() if number}
    if word and word not in words:
        msg = f"{option} {word!r} is not one of {', '.join(words)}"
        raise ValueError(msg)
    return words.get(word, 0)


def _pairs(texts: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in texts or []:
        key, separator, value = text.partition("=")
        if not separator:
            msg = f"--label {text!r} is not key=value"
            raise ValueError(msg)
        pairs[key] = value
    return pairs
