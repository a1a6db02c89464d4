"""What people read: tables, and amounts of money without floats."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from muxer.v1 import billing_pb2, routing_pb2
    from rich.table import Table

NANO_DIGITS = 9


def usd(nano_usd: int) -> str:
    """Writes an amount exactly: `$0.00014`."""
    sign = "-" if nano_usd < 0 else ""
    whole, rest = divmod(abs(nano_usd), 10**NANO_DIGITS)
    digits = f"{rest:0{NANO_DIGITS}d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole}.{digits}"


def counted(number: int, one: str, many: str = "") -> str:
    """Writes a number of things: `1 entry`, `2,000 entries`; without `many`, an s makes it."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def usd_per_million(pico_usd_per_token: int) -> str:
    """Writes a price as vendors print it: `$5.00`."""
    return usd(pico_usd_per_token * 1_000)


def input_tokens(usage: billing_pb2.Usage) -> int:
    """Sums the input of all kinds."""
    return usage.input_tokens + usage.cached_input_tokens + usage.cache_write_tokens + usage.cache_write_1h_tokens


def enum_word(message: Message, field: str) -> str:
    """Gives an enum's value as a word: `chat_lite` for INTENT_CHAT_LITE."""
    enum: Any = message.DESCRIPTOR.fields_by_name[field].enum_type
    number = getattr(message, field)
    known = enum.values_by_number.get(number)
    if known is None:
        return str(number)
    # Values are prefixed with the enum's own name in capitals.
    prefix = "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(enum.name)).upper() + "_"
    return str(known.name).removeprefix(prefix).lower()


def print_json(value: Any) -> None:
    """Prints a value, or a message of the contract, as JSON."""
    if hasattr(value, "DESCRIPTOR"):
        from google.protobuf import json_format

        value = json_format.MessageToDict(value, preserving_proto_field_name=True)
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def shown(text: str) -> str:
    """Makes signs visible that would steer a terminal: names and labels are what callers made of them."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Makes a table as wide as it needs; a column whose name begins with > is aligned to the right."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(shown(cell)) for cell in row))
    return table


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table; on a narrow terminal, its cells wrap."""
    from rich.console import Console

    # Into a file or a pipe, nothing is cut to a terminal's width.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table_of(title, columns, rows))


def print_decision(decision: routing_pb2.RouteDecision) -> None:
    """Prints a decision: the choice and why, the classification, scores, estimates and exclusions."""
    classification = decision.classification
    needs = ", ".join(f"{enum_word(c, 'capability')} {c.score:.2f}" for c in classification.capabilities)
    able, all_models = len(decision.candidates), len(decision.candidates) + len(decision.exclusions)
    sys.stdout.write(
        f"{decision.selected_model}\n{decision.explanation}\n\n"
        f"decision {decision.decision_id}, strategy {decision.strategy}, {able} of {all_models} models can answer\n"
        f"intent {enum_word(classification, 'intent')} ({classification.confidence:.2f}), "
        f"complexity {classification.complexity:.2f}, gain {classification.gain:.2f}, needs {needs or 'nothing'}\n\n"
    )
    _print_scores(decision.candidates)
    sys.stdout.write("\n")
    print_table(
        "",
        ["expected of", "tier", ">cost", ">quality", ">latency", ">tokens"],
        [
            [
                candidate.model,
                enum_word(candidate, "tier"),
                usd(candidate.estimated_cost_nano_usd),
                f"{candidate.expected_quality:.2f}",
                f"{candidate.estimated_latency.ToTimedelta().total_seconds():.1f} s",
                f"{candidate.estimated_input_tokens} + {candidate.estimated_output_tokens}",
            ]
            for candidate in decision.candidates
        ],
    )
    if decision.exclusions:
        sys.stdout.write("\n")
        rows = [[e.model, enum_word(e, "reason"), e.detail] for e in decision.exclusions]
        print_table("", ["excluded", "reason", "detail"], rows)


def _print_scores(candidates: Sequence[routing_pb2.Candidate]) -> None:
    """Prints candidates, best first, with their scores and each factor under its name and weight."""
    factors = {f"{f.name}\nx {f.weight:.2f}": "" for candidate in candidates for f in candidate.factors}
    rows = []
    for candidate in candidates:
        values = factors | {f"{f.name}\nx {f.weight:.2f}": f"{f.value:.2f}" for f in candidate.factors}
        rows.append([candidate.model, f"{candidate.score:.3f}", *values.values()])
    print_table("", ["candidate", ">score", *(f">{factor}" for factor in factors)], rows)
