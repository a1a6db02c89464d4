"""Pieces of HTML, which are put together of pieces alone: whatever comes from outside becomes one by being escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple, NewType

Markup = NewType("Markup", str)

EMPTY = Markup("")
# Those that a page may hold, the one that keeps words together too.
SPACES = "\n\t\u00a0"


def text(words: str) -> Markup:
    """Makes text of any characters; those that no page may hold are made visible."""
    seen = "".join(c if c.isprintable() or c in SPACES else "\ufffd" for c in words)
    return Markup(escape(seen, quote=True))


def join(pieces: Iterable[Markup], between: str = "") -> Markup:
    """Puts pieces one after the other, with words between them."""
    return Markup(text(between).join(pieces))


def element(name: str, *inside: Markup, **attributes: str) -> Markup:
    """Makes an element; `class_` and `data_label` stand for `class` and `data-label`. Attributes are escaped."""
    told = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{told}>{join(inside)}</{name}>")


class Column(NamedTuple):
    """A column of a table: its heading, and whether it holds numbers."""

    heading: str
    number: bool = False


def table(name: str, columns: Sequence[Column], rows: Iterable[Sequence[Markup]], empty: str) -> Markup:
    """Makes a table whose first column names its rows; without rows, a sentence that says so.

    On a narrow screen its rows are laid out as blocks, so that roles are given: browsers drop them with the layout.
    """
    made = [_row(columns, cells) for cells in rows]
    if not made:
        return element("p", text(empty), class_="empty")
    heads = [
        element("th", text(column.heading), scope="col", role="columnheader", class_=_kind(column))
        for column in columns
    ]
    head = element("thead", element("tr", *heads, role="row"), role="rowgroup")
    return element("table", head, element("tbody", *made, role="rowgroup"), role="table", class_=name)


def _row(columns: Sequence[Column], cells: Sequence[Markup]) -> Markup:
    first = element("th", cells[0], scope="row", role="rowheader")
    others = [
        element("td", cell, role="cell", class_=_kind(column), data_label=column.heading)
        for column, cell in zip(columns[1:], cells[1:], strict=True)
    ]
    return element("tr", first, *others, role="row")


def _kind(column: Column) -> str:
    return "number" if column.number else "words"
