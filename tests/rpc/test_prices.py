"""PriceService: what it shows, stores and refuses, who may, and what becomes of it in decisions and costs."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import timestamp_pb2
from muxer.v1 import muxer_service_pb2, price_service_pb2_grpc
from muxer.v1 import price_service_pb2 as pb

from muxer_grpc.domain.money import Price
from muxer_grpc.domain.price_book import PriceLayer, PriceSource, merged_book
from muxer_grpc.domain.tenancy import Role
from tests.rpc.administered import START, Administered
from tests.rpc.service import CATALOGUE, running, spec, told

SMALL, MIDDLE, LARGE = "acme/small", "acme/middle", "acme/large"
MILLION = 1_000_000


def tokens(input_price: int | None = MILLION, output_price: int | None = 2 * MILLION, **kinds: int) -> pb.TokenPrices:
    return pb.TokenPrices(
        input_pico_usd_per_token=input_price,
        output_pico_usd_per_token=output_price,
        **{f"{kind}_pico_usd_per_token": price for kind, price in kinds.items()},
    )


def given(model: str = MIDDLE, prices: pb.TokenPrices | None = None, **facts: Any) -> pb.GivenPrice:
    return pb.GivenPrice(model=model, prices=prices, **facts)


def create(*prices: pb.GivenPrice, at: float | None = None, **facts: Any) -> pb.CreatePriceBookRequest:
    effective = None if at is None else timestamp_pb2.Timestamp(seconds=int(at))
    return pb.CreatePriceBookRequest(prices=prices, effective_time=effective, **facts)


async def shown(world: Administered, version: str = "") -> pb.PriceBook:
    reply: pb.GetPriceBookResponse = await world.root(pb.GetPriceBookRequest(version=version))
    return reply.price_book


def by_model(book: pb.PriceBook) -> dict[str, pb.ModelPrice]:
    return {each.model: each for each in book.prices}


async def test_the_book_in_force_has_every_model_and_where_its_price_comes_from(world: Administered) -> None:
    book = await shown(world)
    assert set(by_model(book)) == set(CATALOGUE.models)
    assert by_model(book)[MIDDLE].price.input_pico_usd_per_token == MILLION
    assert {each.source for each in book.prices} == {pb.PRICE_SOURCE_PROVIDER}
    assert (book.kind, book.effective_time.seconds) == (pb.PRICE_BOOK_KIND_MERGED, 0)


async def test_stored_prices_hold_at_once_and_what_is_unset_costs_as_what_it_is_a_part_of(world: Administered) -> None:
    before = await shown(world)
    tier = pb.TokenPricesTier(above_input_tokens=1_000, prices=tokens(3 * MILLION, 6 * MILLION, cached_input=5))
    request = create(given(prices=tokens(cache_write=7, reasoning=9), tiers=[tier]), note="as agreed", force=True)
    made = await world.root(request)
    book = await shown(world)
    price = by_model(book)[MIDDLE].price
    assert (price.cached_input_pico_usd_per_token, price.reasoning_pico_usd_per_token) == (MILLION, 9)
    assert (price.cache_write_pico_usd_per_token, price.cache_write_1h_pico_usd_per_token) == (7, 7)
    above = price.tiers[0]
    assert (above.above_input_tokens, above.price.cached_input_pico_usd_per_token) == (1_000, 5)
    assert above.price.cache_write_pico_usd_per_token == 3 * MILLION
    assert by_model(book)[MIDDLE].source == pb.PRICE_SOURCE_STORED
    assert book.version != before.version == made.compared_version
    stored = await shown(world, made.price_book.version)
    assert stored == made.price_book
    assert (stored.kind, stored.note, stored.created_by) == (pb.PRICE_BOOK_KIND_STORED, "as agreed", world.root.name)
    assert (await shown(world, before.version)).prices == before.prices


async def test_prices_of_a_time_to_come_hold_from_then_on(world: Administered) -> None:
    await world.root(create(given(prices=tokens(2 * MILLION)), at=START + 3_600))
    assert by_model(await shown(world))[MIDDLE].price.input_pico_usd_per_token == MILLION
    world.clock.at = START + 3_600
    # Whatever is compared next is compared with what holds by now.
    reply = await world.root(create(given(prices=tokens(3 * MILLION)), dry_run=True))
    book = await shown(world)
    assert by_model(book)[MIDDLE].price.input_pico_usd_per_token == 2 * MILLION
    assert (reply.compared_version, book.effective_time.seconds) == (book.version, int(START) + 3_600)


async def test_a_dry_run_shows_what_would_change_and_stores_nothing(world: Administered) -> None:
    before = await shown(world)
    request = create(given(prices=tokens(11 * MILLION)), given(SMALL, free=True), dry_run=True)
    reply = await world.root(request)
    changes = {change.model: change for change in reply.changes}
    assert set(changes) == {SMALL, MIDDLE}
    assert changes[MIDDLE].before.input_pico_usd_per_token == MILLION
    assert changes[MIDDLE].after.input_pico_usd_per_token == 11 * MILLION
    assert list(changes[MIDDLE].jumps) == ["input", "cached_input", "cache_write", "cache_write_1h"]
    assert changes[SMALL].jumps
    assert await shown(world) == before
    assert not (await world.root(pb.ListPriceBooksRequest())).price_books


async def test_a_jump_is_refused_unless_it_is_forced(world: Administered) -> None:
    before = await shown(world)
    request = create(given(prices=tokens(11 * MILLION)))
    error = await world.root.refused(request, "PRECONDITION_FAILED")
    assert error.metadata == {"jumps": "1", "compared": before.version}
    assert f"{MIDDLE}: input" in error.message
    assert await shown(world) == before
    request.force = True
    await world.root(request)
    assert by_model(await shown(world))[MIDDLE].price.input_pico_usd_per_token == 11 * MILLION


async def test_no_prices_put_every_model_back(world: Administered) -> None:
    before = await shown(world)
    await world.root(create(given(SMALL, free=True), force=True))
    assert by_model(await shown(world))[SMALL].free
    world.clock.at += 1
    reply = await world.root(create(force=True))
    assert [change.model for change in reply.changes] == [SMALL]
    assert (await shown(world)).prices == before.prices


async def test_listings_have_the_latest_first_and_no_prices(world: Administered) -> None:
    versions = []
    for later in (10, 30, 20):
        request = create(given(prices=tokens(MILLION + later)), at=START + later, note=str(later))
        versions.append((await world.root(request)).price_book.version)
    order = [versions[1], versions[2], versions[0]]
    first = await world.root(pb.ListPriceBooksRequest(page_size=2))
    rest = await world.root(pb.ListPriceBooksRequest(page_size=2, page_token=first.next_page_token))
    assert [book.version for book in (*first.price_books, *rest.price_books)] == order
    assert [book.note for book in first.price_books] == ["30", "20"]
    assert not any(book.prices for book in first.price_books)
    merged = await world.root(pb.ListPriceBooksRequest(kind=pb.PRICE_BOOK_KIND_MERGED))
    assert (await shown(world)).version in [book.version for book in merged.price_books]


async def test_storing_prices_is_told_in_the_audit_log(world: Administered) -> None:
    made = await world.root(create(given(prices=tokens(2 * MILLION)), note="dearer"))
    entries = [entry for entry in await world.root.audited() if entry[1] == "CreatePriceBook"]
    assert [(who, what) for who, _, what, _, _ in entries] == [
        (world.root.name, f"priceBooks/{made.price_book.version}")
    ]
    assert entries[0][4]["prices"][MIDDLE]["price"]["input"] == 2 * MILLION


async def test_admins_of_a_tenant_and_viewers_look_and_set_nothing(world: Administered) -> None:
    viewer = await world.person("acme", "vera", Role.VIEWER)
    caller = await world.person("acme", "carl", Role.CALLER)
    for person in (world.acme, viewer):
        assert (await person(pb.GetPriceBookRequest())).price_book.prices
        await person(pb.ListPriceBooksRequest())
        await person.refused(create(given(prices=tokens()), dry_run=True), "PERMISSION_DENIED")
    for request in (pb.GetPriceBookRequest(), pb.ListPriceBooksRequest(), create()):
        await caller.refused(request, "PERMISSION_DENIED")


REFUSED: dict[str, tuple[pb.CreatePriceBookRequest, dict[str, str]]] = {
    "an unknown model": (create(given("acme/none", tokens())), {"prices[0].model": "unknown"}),
    "a bare name": (create(given("middle", tokens())), {"prices[0].model": "unknown"}),
    "a model twice": (create(given(prices=tokens()), given(prices=tokens())), {"prices[1].model": "duplicate"}),
    "neither price nor free": (create(given()), {"prices[0].prices": "required"}),
    "price and free": (create(given(prices=tokens(), free=True)), {"prices[0].free": "contradiction"}),
    "no output price": (
        create(given(prices=tokens(1, None))),
        {"prices[0].prices.output_pico_usd_per_token": "required"},
    ),
    "a negative price": (create(given(prices=tokens(-1))), {"prices[0].prices.input_pico_usd_per_token": "range"}),
    "a price beyond all sense": (
        create(given(prices=tokens(cache_write_1h=10**12 + 1))),
        {"prices[0].prices.cache_write_1h_pico_usd_per_token": "range"},
    ),
    "prices of nothing": (create(given(prices=tokens(0, 0))), {"prices[0].prices": "zero"}),
    "a tier from nothing on": (
        create(given(prices=tokens(), tiers=[pb.TokenPricesTier(prices=tokens())])),
        {"prices[0].tiers[0].above_input_tokens": "range"},
    ),
    "tiers that do not rise": (
        create(given(prices=tokens(), tiers=[pb.TokenPricesTier(above_input_tokens=5, prices=tokens())] * 2)),
        {"prices[0].tiers[1].above_input_tokens": "range"},
    ),
    "a tier without prices": (
        create(given(prices=tokens(), tiers=[pb.TokenPricesTier(above_input_tokens=5)])),
        {
            "prices[0].tiers[0].prices.input_pico_usd_per_token": "required",
            "prices[0].tiers[0].prices.output_pico_usd_per_token": "required",
        },
    ),
    "too many tiers": (
        create(
            given(
                prices=tokens(),
                tiers=[pb.TokenPricesTier(above_input_tokens=n + 1, prices=tokens()) for n in range(9)],
            )
        ),
        {"prices[0].tiers": "length"},
    ),
    "a time gone by": (create(given(prices=tokens()), at=START - 3_600), {"effective_time": "past"}),
    "a time that is none": (
        pb.CreatePriceBookRequest(effective_time=timestamp_pb2.Timestamp(seconds=10**15)),
        {"effective_time": "past"},
    ),
    "a note without end": (create(note="x" * 1_025), {"note": "length"}),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_no_price_book_is_refused_with_every_broken_rule(world: Administered, name: str) -> None:
    request, fields = REFUSED[name]
    before = await shown(world)
    error = await world.root.refused(request, "INVALID_REQUEST")
    assert error.fields.items() >= {field: rule.upper() for field, rule in fields.items()}.items()
    assert await shown(world) == before


async def test_a_version_that_is_not_kept_is_not_found(world: Administered) -> None:
    await world.root.refused(pb.GetPriceBookRequest(version="prices-unknown"), "RESOURCE_NOT_FOUND")
    await world.root.refused(pb.GetPriceBookRequest(version="\x00"), "INVALID_REQUEST")


async def test_a_listing_of_an_unknown_kind_or_with_a_foreign_token_is_refused(world: Administered) -> None:
    error = await world.root.refused(pb.ListPriceBooksRequest(kind=9, page_token="x"), "INVALID_REQUEST")  # type: ignore[arg-type]
    assert set(error.fields) == {"kind", "page_token"}


async def test_decisions_and_costs_follow_the_book_and_name_its_version() -> None:
    request = muxer_service_pb2.CompleteRequest(spec=spec(requested_model=MIDDLE))
    async with running() as service:
        before = await service.stub.Complete(request)
        dear = merged_book([PriceLayer(PriceSource.STORED, {MIDDLE: Price(7, 11, 7, 7, 11)}, 5)], CATALOGUE.models)
        service.app.profiles.reprice(dear)
        after = await service.stub.Complete(request)
    assert before.decision.price_book_version == before.summary.cost.price_book_version
    assert after.decision.price_book_version == after.summary.cost.price_book_version == dear.version
    usage, cost = after.summary.usage, after.summary.cost
    assert (cost.input_pico_usd, cost.output_pico_usd) == (7 * usage.input_tokens, 11 * usage.output_tokens)
    assert before.decision.fleet_version == after.decision.fleet_version


async def test_a_model_whose_price_is_gone_is_never_chosen() -> None:
    async with running() as service:
        book = merged_book([PriceLayer(PriceSource.STORED, {LARGE: Price(7, 11, 7, 7, 11)})], CATALOGUE.models)
        service.app.profiles.reprice(book)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec(requested_model=MIDDLE)))
    assert told(raised.value).reason == "NO_ELIGIBLE_MODEL"


async def test_without_a_database_prices_are_shown_and_not_stored() -> None:
    async with running() as service:
        stub: Any = price_service_pb2_grpc.PriceServiceStub(service.admin_channel)
        book = (await stub.GetPriceBook(pb.GetPriceBookRequest())).price_book
        assert by_model(book)[MIDDLE].price.input_pico_usd_per_token == MILLION
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.CreatePriceBook(create(given(prices=tokens())))
    assert told(raised.value).reason == "PRECONDITION_FAILED"
