"""How `muxer ledger reconcile` reads an invoice, asks the ledger, and tells what differs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from muxer_grpc.cli.administering import admin_calls
from muxer_grpc.cli.rendering import print_json, print_table
from muxer_grpc.cli.usage import all_tokens, bucket_text, query
from muxer_grpc.domain.reconciliation import Comparison, Line, Tolerance, booked, compare, read_amount

COLUMNS = ("date", "model", "cost_usd")
DIFFERENCES_FOUND = 1


def read_invoice(path: Path) -> list[Line]:
    """Reads an invoice. Raises ValueError with the line that is wrong."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            msg = f"{path} has no column {', '.join(missing)}: its first line must name date, model and cost_usd"
            raise ValueError(msg)
        try:
            lines = [_line(row, f"line {reader.line_num} of {path}") for row in reader]
        except csv.Error as error:
            msg = f"line {reader.line_num} of {path}: {error}"
            raise ValueError(msg) from None
        except UnicodeDecodeError:
            msg = f"{path} is not UTF-8"
            raise ValueError(msg) from None
    if not lines:
        msg = f"{path} has no lines"
        raise ValueError(msg)
    return lines


def _line(row: Mapping[str, Any], where: str) -> Line:
    try:
        model, tokens = (row["model"] or "").strip(), (row.get("tokens") or "").strip()
        if not model:
            msg = "it names no model"
            raise ValueError(msg)
        if tokens and not (tokens.isascii() and tokens.isdigit() and len(tokens) <= 18):
            msg = f"{tokens!r} is not a number of tokens"
            raise ValueError(msg)
        return Line(
            date.fromisoformat((row["date"] or "").strip()),
            model,
            read_amount(row["cost_usd"] or ""),
            int(tokens) if tokens else None,
        )
    except ValueError as error:
        msg = f"{where}: {error}"
        raise ValueError(msg) from None


def read_tolerance(usd: str, percent: str) -> Tolerance:
    """Reads how far both sides may differ. Raises ValueError."""
    amounts = []
    for option, text in (("--tolerance", usd), ("--tolerance-percent", percent)):
        try:
            amount = read_amount(text)
        except ValueError as error:
            msg = f"{option}: {error}"
            raise ValueError(msg) from None
        if amount < 0:
            msg = f"{option} {text!r} is below 0"
            raise ValueError(msg)
        amounts.append(amount)
    return Tolerance(*amounts)


def read_names(pairs: list[str] | None) -> dict[str, str]:
    """Reads what the invoice's models are called here. Raises ValueError."""
    names = {}
    for pair in pairs or []:
        theirs, separator, ours = pair.partition("=")
        if not separator or not ours:
            msg = f"--name {pair!r} is not theirs=ours"
            raise ValueError(msg)
        names[theirs] = ours
    return names


def booked_lines(
    invoice: Sequence[Line], provider: str, time_zone: str, target: str, api_key: str, timeout: float
) -> list[Line]:
    """Asks a running service what the ledger has for the days from the invoice's first to its last."""
    from muxer.v1 import usage_service_pb2_grpc

    from muxer_grpc.cli import spans

    days = [line.day for line in invoice]
    request = query(["model", "day"], time_zone)
    request.filter.CopyFrom(
        spans.ledger_filter(
            provider=provider,
            since=min(days).isoformat(),
            until=(max(days) + timedelta(days=1)).isoformat(),
            zone=time_zone,
        )
    )
    found = []
    with admin_calls(usage_service_pb2_grpc.UsageServiceStub, target, api_key, timeout) as call:
        while True:
            reply = call("QueryUsage", request)
            for group in reply.groups:
                day = date.fromisoformat(bucket_text(group, "day", time_zone))
                found.append(booked(day, group.model, group.sums.cost_nano_usd, all_tokens(group.sums)))
            if not reply.next_page_token:
                return found
            request.page_token = reply.next_page_token


def tell(
    invoice: Sequence[Line],
    ledger: Sequence[Line],
    tolerance: Tolerance,
    *,
    provider: str,
    names: Mapping[str, str],
    everything: bool,
    as_json: bool,
) -> int:
    """Prints what differs; gives the exit code."""
    compared = compare(invoice, ledger, tolerance, provider=provider, names=names)
    differing = [each for each in compared if not each.within]
    shown = compared if everything else differing
    if as_json:
        print_json({"agrees": not differing, "compared": len(compared), "differences": [_plain(e) for e in shown]})
    else:
        if shown:
            print_table("", ["day", "model", ">invoiced", ">booked", ">difference", ">tokens", ""], map(_row, shown))
        total = sum((each.difference_usd for each in compared), Decimal(0))
        verdict = f"{len(differing)} {'differs' if len(differing) == 1 else 'differ'}" if differing else "all agree"
        sys.stdout.write(f"{len(compared)} compared, {verdict}; {_in_all(total)}\n")
    return DIFFERENCES_FOUND if differing else 0


def _plain(each: Comparison) -> dict[str, Any]:
    return {
        "date": each.day.isoformat(),
        "model": each.model,
        "invoiced_usd": _cost(each.invoiced),
        "booked_usd": _cost(each.booked),
        "difference_usd": _text(each.difference_usd),
        "invoiced_tokens": None if each.invoiced is None else each.invoiced.tokens,
        "booked_tokens": None if each.booked is None else each.booked.tokens,
        "within_tolerance": each.within,
    }


def _row(each: Comparison) -> list[str]:
    sides = [
        "nothing" if side is None else "" if side.tokens is None else f"{side.tokens:,}"
        for side in (each.invoiced, each.booked)
    ]
    return [
        each.day.isoformat(),
        each.model,
        _cost(each.invoiced) or "nothing",
        _cost(each.booked) or "nothing",
        _text(each.difference_usd),
        " / ".join(sides),
        "" if each.within else "differs",
    ]


def _cost(line: Line | None) -> str | None:
    return None if line is None else _text(line.cost_usd)


def _text(amount: Decimal) -> str:
    """Writes an amount with all its digits, and no more."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _in_all(more: Decimal) -> str:
    if not more:
        return "in all the invoice and the ledger come to the same"
    return f"in all the invoice has ${_text(abs(more))} {'more' if more > 0 else 'less'} than the ledger"
