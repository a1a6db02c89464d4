"""Entries of the ledger as files: CSV with a column for every field, or a JSON object a line."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from muxer_grpc.cli.rendering import enum_word

if TYPE_CHECKING:
    from muxer.v1 import ledger_pb2

_ENUMS = ("intent", "outcome", "failure_class")


class Format(StrEnum):
    """Names how entries are written."""

    CSV = "csv"
    JSONL = "jsonl"


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Opens a file that is there under its name only when all of it is written; of one that fails nothing is left.

    What is no regular file, as a pipe, is written as it comes. Raises OSError.
    """
    if path.exists() and not path.is_file():
        beside = path
    else:
        # What a link leads to is replaced, and not the link.
        path = Path(os.path.realpath(path))
        beside = path.with_name(f"{path.name}.part")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            yield file
        if beside is not path:
            beside.replace(path)
    except BaseException:
        if beside is not path:
            beside.unlink(missing_ok=True)
        raise


def write_entries(file: TextIO, entries: Iterable[ledger_pb2.LedgerEntry], form: Format) -> int:
    """Writes entries; gives their number."""
    count = 0
    if form is Format.JSONL:
        from google.protobuf import json_format

        for entry in entries:
            plain = json_format.MessageToDict(entry, preserving_proto_field_name=True)
            file.write(json.dumps(plain, ensure_ascii=False) + "\n")
            count += 1
        return count
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns())
    for entry in entries:
        writer.writerow(row(entry))
        count += 1
    return count


def columns() -> list[str]:
    """Names the columns: the fields in their order, token counts each in one of their own."""
    from muxer.v1 import billing_pb2, ledger_pb2

    names: list[str] = []
    for field in ledger_pb2.LedgerEntry.DESCRIPTOR.fields:
        if field.name == "usage":
            names += [f"usage_{kind.name}" for kind in billing_pb2.Usage.DESCRIPTOR.fields]
        else:
            names.append(field.name)
    return names


def row(entry: ledger_pb2.LedgerEntry) -> list[Any]:
    """Writes an entry: times as RFC 3339, durations in seconds, labels as JSON, enums as words; nothing for nothing."""
    cells: list[Any] = []
    for field in entry.DESCRIPTOR.fields:
        value = getattr(entry, field.name)
        if field.name == "usage":
            usage = entry.usage
            kinds = [kind.name for kind in usage.DESCRIPTOR.fields]
            cells += [enum_word(usage, name) if name == "source" else getattr(usage, name) for name in kinds]
        elif field.name == "labels":
            cells.append(json.dumps(dict(value), ensure_ascii=False, sort_keys=True) if value else "")
        elif field.name in _ENUMS:
            cells.append(enum_word(entry, field.name) if value else "")
        elif field.message_type is not None:
            cells.append(value.ToJsonString().removesuffix("s") if entry.HasField(field.name) else "")
        elif isinstance(value, bool):
            cells.append(str(value).lower())
        else:
            cells.append(value)
    return cells
