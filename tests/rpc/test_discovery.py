"""Servers that list their own models and start, or change, while the service runs: their models are taken up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc.aio
import pytest
from muxer.v1 import muxer_service_pb2, muxer_service_pb2_grpc

from muxer_grpc import bootstrap_providers
from muxer_grpc.bootstrap import App, open_app
from muxer_grpc.domain.administration import Actor, PageRequest
from muxer_grpc.domain.catalogue import Tier
from muxer_grpc.domain.money import FREE, Price
from muxer_grpc.domain.price_book import BookKind, KeptBook, PriceBook
from muxer_grpc.domain.profiles import ProfileChange
from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.providers.registry import Adapter, adapters
from muxer_grpc.server import running_server
from muxer_grpc.settings import Settings
from muxer_grpc.settings_loading import load_settings
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider, fake_provider
from tests.rpc.service import spec, told
from tests.services.server import free_port

OLLAMA, LITELLM = "OLLAMA", "LITELLM"
PRICE = Price.from_usd_per_million("1", "2")
ACTOR = Actor("muxer/root", 1)


def settings(folder: Path, provider: str = "", port: int = 0) -> Settings:
    """Gives settings with one provider at a port; what is probed when is up to the tests."""
    variables = {
        "MUXER_STORAGE__URL": f"sqlite:///{folder}/muxer.db",
        "MUXER_RESILIENCE__PROBE_SECONDS": "3600",
        "MUXER_SERVER__LISTEN": "127.0.0.1:0",
        "MUXER_SERVER__ADMIN_LISTEN": "",
    }
    if provider:
        variables[f"MUXER_PROVIDERS__{provider}__BASE_URL"] = f"http://127.0.0.1:{port}"
    if provider == LITELLM:
        variables["MUXER_PROVIDERS__OLLAMA__ENABLED"] = "false"
    return load_settings(None, None, variables)


async def probe(app: App, provider: str) -> None:
    assert app.control.probes is not None
    await app.control.probes.probe(provider)


def models(app: App, provider: str) -> list[str]:
    return [m.name for m in app.control.reports.fleet.catalogue.available if m.provider == provider]


@asynccontextmanager
async def started(port: int, *names: str) -> AsyncGenerator[FakeProvider, None]:
    fake = await FakeProvider(models=names).start(port)
    try:
        yield fake
    finally:
        await fake.stop()


async def test_models_of_a_server_that_starts_later_answer_as_soon_as_a_probe_has_found_them(tmp_path: Path) -> None:
    port = free_port()
    async with (
        running_server(settings(tmp_path, OLLAMA, port)) as server,
        grpc.aio.insecure_channel(server.data.addresses[0]) as channel,
    ):
        stub = muxer_service_pb2_grpc.MuxerServiceStub(channel)
        request = muxer_service_pb2.CompleteRequest(spec=spec(requested_model="ollama/m1"))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Complete(request)
        assert told(raised.value).reason == "MODEL_NOT_FOUND"
        await probe(server.app, "ollama")
        assert models(server.app, "ollama") == []
        async with started(port, "m1"):
            await probe(server.app, "ollama")
            reply = await stub.Complete(request)
    assert (reply.summary.provider, reply.summary.selected_model) == ("ollama", "ollama/m1")
    assert reply.decision.price_book_version != ""


async def test_a_server_that_was_looked_for_at_its_usual_address_is_found_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    kinds: dict[str, Adapter] = dict(adapters())
    kinds["ollama"] = replace(kinds["ollama"], default_base_url=f"http://127.0.0.1:{port}")
    monkeypatch.setattr(bootstrap_providers, "adapters", lambda: kinds)
    async with open_app(settings(tmp_path)) as app:
        fleet = app.control.reports.fleet
        assert not fleet.catalogue.providers["ollama"].configured
        async with started(port, "m1", "llama3.3:70b"):
            await probe(app, "ollama")
        entry = fleet.catalogue.providers["ollama"]
        assert (entry.configured, entry.detail) == (True, f"calls http://127.0.0.1:{port}, 2 models found")
        assert models(app, "ollama") == ["ollama/llama3.3:70b", "ollama/m1"]
        found = fleet.catalogue.models
        # The family's facts are known; of the other one nothing but its name is.
        assert found["ollama/llama3.3:70b"].context_window > found["ollama/m1"].context_window
        assert found["ollama/m1"].price == FREE


async def test_models_that_come_and_go_are_followed_and_changed_profiles_stay(tmp_path: Path) -> None:
    async with fake_provider(models=("m1", "m2")) as fake, open_app(settings(tmp_path, OLLAMA, fake.port)) as app:
        await app.profiles.change("ollama/m1", ProfileChange(tier=Tier.PREMIUM))
        fake.models = ("m1", "m3")
        await probe(app, "ollama")
        assert models(app, "ollama") == ["ollama/m1", "ollama/m3"]
        catalogue = app.control.reports.fleet.catalogue
        assert catalogue.models["ollama/m1"].tier is Tier.PREMIUM
        await app.profiles.change("ollama/m3", ProfileChange(disabled=True))
        assert app.control.reports.fleet.catalogue.models["ollama/m1"].tier is Tier.PREMIUM
        # One that comes back is as the operator had it.
        fake.models = ("m2",)
        await probe(app, "ollama")
        fake.models = ("m1", "m2", "m3")
        await probe(app, "ollama")
        catalogue = app.control.reports.fleet.catalogue
        assert (catalogue.models["ollama/m1"].tier, catalogue.models["ollama/m3"].disabled) == (Tier.PREMIUM, True)


async def test_stored_prices_stay_and_new_models_can_have_one(tmp_path: Path) -> None:
    async with fake_provider(models=("m1",)) as fake, open_app(settings(tmp_path, LITELLM, fake.port)) as app:
        prices = app.prices
        await prices.store(prices.propose({"litellm/m1": PRICE}, None, ACTOR, ""), ACTOR, force=True)
        before = prices.book.version
        fake.models = ("m1", "m2")
        await probe(app, "litellm")
        catalogue = app.control.reports.fleet.catalogue
        assert (catalogue.models["litellm/m1"].price, catalogue.models["litellm/m2"].price) == (PRICE, None)
        assert catalogue.price_book_version == prices.book.version == before
        both = {"litellm/m1": PRICE, "litellm/m2": PRICE}
        await prices.store(prices.propose(both, None, ACTOR, ""), ACTOR, force=True)
        assert app.control.reports.fleet.catalogue.models["litellm/m2"].price == PRICE


async def test_the_same_models_leave_everything_as_it_is(tmp_path: Path) -> None:
    async with fake_provider() as fake, open_app(settings(tmp_path, OLLAMA, fake.port)) as app:
        router = app.control.reports.fleet.router
        await probe(app, "ollama")
        assert app.control.reports.fleet.router is router


async def test_a_server_that_stops_keeps_its_models_and_its_breaker_speaks_for_it(tmp_path: Path) -> None:
    async with fake_provider() as fake, open_app(settings(tmp_path, OLLAMA, fake.port)) as app:
        fake.probes = Play(reset=True)
        for _ in range(3):
            await probe(app, "ollama")
        assert models(app, "ollama") == ["ollama/m1", "ollama/m2"]
        decisions = app.control.reports.health.resting(0.0)
        assert "ollama/" in decisions
        fake.probes = Play()
        await probe(app, "ollama")
        assert app.control.reports.health.resting(0.0) == {}


async def test_models_are_taken_up_later_where_their_prices_cannot_be_kept_now(tmp_path: Path) -> None:
    class Away:
        down = True

        async def effective(self, _at_us: int) -> PriceBook | None:
            if self.down:
                raise StorageUnavailable
            return None

        async def record(self, kept: KeptBook) -> None:
            """Keeps nothing."""

        async def create(self, kept: KeptBook, actor: Actor) -> None:
            raise AssertionError

        async def get(self, version: str) -> KeptBook | None:
            raise AssertionError

        async def page(self, kind: BookKind, asked: PageRequest) -> list[KeptBook]:
            raise AssertionError

    async with fake_provider(models=("m1",)) as fake, open_app(settings(tmp_path, LITELLM, fake.port)) as app:
        books = app.prices._books = Away()
        fake.models = ("m1", "m2")
        await probe(app, "litellm")
        assert models(app, "litellm") == ["litellm/m1"]
        assert "litellm/m2" not in app.prices.models
        books.down = False
        await probe(app, "litellm")
        assert models(app, "litellm") == ["litellm/m1", "litellm/m2"]
        assert "litellm/m2" in app.prices.models


def every(chosen: Settings, seconds: float) -> Settings:
    resilience = chosen.resilience.model_copy(update={"probe_seconds": seconds})
    return chosen.model_copy(update={"resilience": resilience})


async def test_the_service_probes_by_itself_at_the_configured_interval(tmp_path: Path) -> None:
    port = free_port()
    async with open_app(every(settings(tmp_path, OLLAMA, port), 0.01)) as app, started(port, "m1"):
        while not models(app, "ollama"):
            await asyncio.sleep(0.005)


async def test_without_an_interval_nobody_is_probed(tmp_path: Path) -> None:
    async with fake_provider() as fake, open_app(every(settings(tmp_path, OLLAMA, fake.port), 0.0)) as app:
        listed = len(fake.received)
        await asyncio.sleep(0)
        assert app.control.probes is not None
        assert [app.control.probes.due_at(name) for name in ("ollama", "sandbox")] == [None, None]
        # Another configuration begins it, as a reload does.
        app.control.reconfigure(every(settings(tmp_path, OLLAMA, fake.port), 0.01))
        await fake.wait_until_called(listed + 1)
