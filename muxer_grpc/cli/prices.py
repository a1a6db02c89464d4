"""Commands about what models cost: show, list, set and diff price books."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls, pages
from muxer_grpc.cli.rendering import enum_word, print_json, print_table, usd_per_million

app = typer.Typer(help="What models cost, and from when on.", no_args_is_help=True)

PriceFile = Annotated[Path, typer.Argument(help="TOML file with [[models]]: name, input_usd_per_million and so on.")]
Effective = Annotated[str, typer.Option(help="When the prices begin to hold, as 2026-12-01T00:00Z; default: now.")]

COLUMNS = ("input", "output", "cached_input", "cache_write", "cache_write_1h", "reasoning")
HEADINGS = [">input", ">output", ">cached", ">write", ">write 1h", ">reasoning"]


@app.command("show")
def show(
    version: Annotated[str, typer.Option(help="Version of the book; default: the one in force.")] = "",
    provider: Annotated[str, typer.Option(help="Only models of this provider.")] = "",
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows a price book, in USD per million tokens."""
    from muxer.v1 import price_service_pb2

    with _prices(admin_target, api_key, timeout) as call:
        book = call("GetPriceBook", price_service_pb2.GetPriceBookRequest(version=version)).price_book
    if provider:
        kept = [each for each in book.prices if each.model.startswith(f"{provider}/")]
        del book.prices[:]
        book.prices.extend(kept)
    if as_json:
        print_json(book)
        return
    typer.echo(f"{book.version}, holds from {_time(book.effective_time)}\n")
    rows: list[list[str]] = []
    for each in book.prices:
        amounts = ["free", *[""] * 5] if each.free else _amounts(each.price)
        rows.append([each.model, *amounts, enum_word(each, "source")])
        rows += [
            [f"  above {tier.above_input_tokens:,} input tokens", *_amounts(tier.price), ""]
            for tier in each.price.tiers
        ]
    print_table("", ["model", *HEADINGS, "source"], rows)


@app.command("list")
def list_books(
    merged: Annotated[bool, typer.Option(help="Lists what was in force, instead of what was stored.")] = False,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Lists the price books that are kept, those that hold latest first."""
    from muxer.v1 import price_service_pb2 as pb

    kind = pb.PRICE_BOOK_KIND_MERGED if merged else pb.PRICE_BOOK_KIND_STORED
    with _prices(admin_target, api_key, timeout) as call:
        books = list(pages(call, "ListPriceBooks", pb.ListPriceBooksRequest(page_size=1_000, kind=kind), "price_books"))
    if as_json:
        print_json([_plain(book) for book in books])
        return
    rows = [[b.version, _time(b.effective_time), _time(b.create_time), b.created_by, b.note] for b in books]
    print_table("", ["version", "holds from", "made", "by", "note"], rows)


@app.command("set")
def set_prices(
    file: PriceFile,
    effective: Effective = "",
    note: Annotated[str, typer.Option(help="Why the prices change.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Stores prices that rise or fall beyond belief too.")] = False,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Stores the prices of a file, in place of all that were stored before."""
    request = price_request(file, effective)
    request.note, request.force = note, force
    with _prices(admin_target, api_key, timeout) as call:
        reply = call("CreatePriceBook", request)
    _print_changes(reply, as_json=as_json)


@app.command("diff")
def diff(
    file: PriceFile,
    effective: Effective = "",
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows what storing the prices of a file would change, and stores nothing."""
    request = price_request(file, effective)
    request.dry_run = True
    with _prices(admin_target, api_key, timeout) as call:
        reply = call("CreatePriceBook", request)
    _print_changes(reply, as_json=as_json)


def _prices(target: str, api_key: str, timeout: float) -> Any:
    from muxer.v1 import price_service_pb2_grpc

    return admin_calls(price_service_pb2_grpc.PriceServiceStub, target, api_key, timeout)


def price_request(file: Path, effective: str = "") -> Any:
    """Reads a file of prices. Raises ValueError on one that is no such file."""
    from muxer.v1 import price_service_pb2

    from muxer_grpc.domain.money import FREE
    from muxer_grpc.providers.price_rows import read_prices

    request = price_service_pb2.CreatePriceBookRequest()
    for model, price in read_prices(_content(file), file.name).items():
        given = request.prices.add(model=model, free=price == FREE)
        if price == FREE:
            continue
        _fill(given.prices, price)
        for tier in price.tiers:
            _fill(given.tiers.add(above_input_tokens=tier.above_input_tokens).prices, tier.price)
    if effective:
        request.effective_time.FromDatetime(_instant(effective))
    return request


def _content(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{file.name}: {error}"
        raise ValueError(msg) from None


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        msg = f"--effective {text!r} is not a time like 2026-12-01T00:00Z"
        raise ValueError(msg) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _fill(message: Any, price: Any) -> None:
    for kind, amount in price.by_kind.items():
        setattr(message, f"{kind}_pico_usd_per_token", amount)


def _print_changes(reply: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(reply)
        return
    typer.echo(f"{reply.price_book.version}, holds from {_time(reply.price_book.effective_time)}")
    typer.echo(f"against {reply.compared_version}: {len(reply.changes)} models cost something else\n")
    rows = []
    for change in reply.changes:
        before = _amounts(change.before) if change.HasField("before") else ["unknown", *[""] * 5]
        after = _amounts(change.after) if change.HasField("after") else ["unknown", *[""] * 5]
        rows += [[change.model, *before, ""], ["  becomes", *after, ", ".join(change.jumps)]]
        rows += [
            [f"  above {tier.above_input_tokens:,} input tokens", *_amounts(tier.price), ""]
            for tier in (change.after.tiers if change.HasField("after") else ())
        ]
    if rows:
        print_table("", ["model", *HEADINGS, "jumps"], rows)
    for model in reply.overruled_models:
        typer.echo(f"{model}: no effect, its price is in the settings of the service")


def _amounts(price: Any) -> list[str]:
    return [usd_per_million(getattr(price, f"{kind}_pico_usd_per_token")) for kind in COLUMNS]


def _time(timestamp: Any) -> str:
    """Writes a time; what always held has none."""
    return timestamp.ToJsonString() if timestamp.seconds else "ever"


def _plain(message: Any) -> Any:
    from google.protobuf import json_format

    return json_format.MessageToDict(message, preserving_proto_field_name=True)
