"""The webhook of alerts, against a real HTTP server: signed, retried, bounded, and never led elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from muxer_grpc.domain.budgeting import Budget, BudgetAlert, Period
from muxer_grpc.telemetry import alert_webhook
from muxer_grpc.telemetry.alert_webhook import ALERT_ID, PAUSES, SIGNATURE, AlertWebhook
from tests.services.server import free_port

SECRET = b"a secret of sixteen or more"
NOW = 1_800_000_000.0
BUDGET = Budget("bud_1", "acme", Period.DAILY, 10**10, user_id="ann", key_id="key_1")
ALERT = BudgetAlert(BUDGET, 1_799_971_200_000_000, 80, 8 * 10**9, int(NOW) * 1_000_000)

Answer = Callable[[], Awaitable[web.Response]]


@dataclass
class Receiver:
    """What an operator runs: it gives the answers that a test wrote, then 204 for ever."""

    answers: list[int | Answer] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, dict(request.headers), await request.read()))
        self.came.set()
        answer = self.answers.pop(0) if self.answers else 204
        if not isinstance(answer, int):
            return await answer()
        location = {"location": f"{self.url}/elsewhere"} if 300 <= answer < 400 else {}
        return web.Response(status=answer, headers=location)


@asynccontextmanager
async def receiving(*answers: int | Answer, port: int = 0) -> AsyncGenerator[Receiver, None]:
    receiver = Receiver(list(answers))
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@dataclass
class Pauses:
    """Stands in for time: notes the pauses instead of waiting."""

    taken: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def sending(
    url: str, secret: bytes = SECRET, timeout: float = 5.0
) -> AsyncGenerator[tuple[AlertWebhook, Pauses], None]:
    pauses = Pauses()
    webhook = AlertWebhook(f"{url}/hook?token=t0k3n", secret, timeout, lambda: NOW, pauses)
    try:
        yield webhook, pauses
    finally:
        await webhook.aclose()


async def test_an_alert_is_posted_as_json_and_signed() -> None:
    async with receiving() as receiver:
        async with sending(receiver.url) as (webhook, _):
            webhook.send(ALERT)
        [(path, headers, body)] = receiver.requests
    assert path == "/hook"
    assert json.loads(body) == {
        "id": "bud_1.1799971200000000.80",
        "tenant_id": "acme",
        "budget_id": "bud_1",
        "user_id": "ann",
        "key_id": "key_1",
        "period": "daily",
        "period_start_time": "2027-01-15T00:00:00Z",
        "share": 80,
        "spent_nano_usd": 8 * 10**9,
        "limit_nano_usd": 10**10,
        "create_time": "2027-01-15T08:00:00Z",
    }
    lowered = {name.lower(): value for name, value in headers.items()}
    assert lowered["content-type"] == "application/json"
    assert lowered[ALERT_ID] == "bud_1.1799971200000000.80"
    told = hmac.new(SECRET, b"1800000000." + body, hashlib.sha256).hexdigest()
    assert lowered[SIGNATURE] == f"t=1800000000,v1={told}"


async def test_without_a_secret_nothing_is_signed() -> None:
    async with receiving() as receiver:
        async with sending(receiver.url, b"") as (webhook, _):
            webhook.send(ALERT)
        assert SIGNATURE not in {name.lower() for name in receiver.requests[0][1]}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again_with_the_same_id(status: int) -> None:
    async with receiving(status, status) as receiver:
        async with sending(receiver.url) as (webhook, pauses):
            webhook.send(ALERT)
        assert pauses.taken == list(PAUSES[:2])
        assert len({headers.get("Muxer-Alert-Id", headers.get(ALERT_ID)) for _, headers, _ in receiver.requests}) == 1
        assert len(receiver.requests) == 3


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 410])
async def test_what_will_not_pass_is_tried_once_and_no_redirect_is_followed(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving(status) as receiver:
        async with sending(receiver.url) as (webhook, pauses):
            webhook.send(ALERT)
        assert [path for path, _, _ in receiver.requests] == ["/hook"]
    assert pauses.taken == []
    [record] = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.getMessage() == f"an alert could not be sent to the webhook at 127.0.0.1: status {status}"


async def test_after_the_last_attempt_the_next_alert_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    async with receiving(*[500] * (len(PAUSES) + 1)) as receiver:
        async with sending(receiver.url) as (webhook, pauses):
            webhook.send(ALERT)
            webhook.send(replace(ALERT, share=100))
        assert pauses.taken == list(PAUSES)
        assert [json.loads(body)["share"] for _, _, body in receiver.requests] == [*[80] * (len(PAUSES) + 1), 100]
    assert "status 500" in caplog.text


async def test_an_outage_is_waited_out_and_every_alert_arrives_in_order() -> None:
    # Nobody listens there yet.
    port = free_port()
    back = asyncio.Event()
    tried = asyncio.Event()

    async def pause(_seconds: float) -> None:
        tried.set()
        await back.wait()

    webhook = AlertWebhook(f"http://127.0.0.1:{port}", SECRET, 5.0, lambda: NOW, pause)
    for share in (50, 80, 100):
        webhook.send(replace(ALERT, share=share))
    await tried.wait()
    async with receiving(port=port) as receiver:
        back.set()
        await webhook.aclose()
        assert [json.loads(body)["share"] for _, _, body in receiver.requests] == [50, 80, 100]


async def test_a_receiver_that_never_answers_is_given_up_and_tried_again() -> None:
    never = asyncio.Event()

    async def silent() -> web.Response:
        await never.wait()
        return web.Response()

    async with receiving(silent) as receiver:
        async with sending(receiver.url, timeout=0.5) as (webhook, pauses):
            webhook.send(ALERT)
        assert pauses.taken == [PAUSES[0]]
        assert len(receiver.requests) == 2
        never.set()


async def test_alerts_beyond_what_may_wait_are_left_out_and_nobody_is_kept_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alert_webhook, "MAX_QUEUED", 2)
    gate = asyncio.Event()

    async def slow() -> web.Response:
        await gate.wait()
        return web.Response(status=204)

    async with receiving(slow) as receiver:
        async with sending(receiver.url) as (webhook, _):
            webhook.send(replace(ALERT, share=1))
            await receiver.came.wait()
            for share in (2, 3, 4):
                webhook.send(replace(ALERT, share=share))
            gate.set()
        assert [json.loads(body)["share"] for _, _, body in receiver.requests] == [1, 2, 3]
    assert "one is left out" in caplog.text


async def test_a_process_that_ends_does_not_wait_for_a_receiver_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alert_webhook, "CLOSING_SECONDS", 0.05)

    async def for_ever(_seconds: float) -> None:
        await asyncio.Event().wait()

    async with receiving(503) as receiver:
        webhook = AlertWebhook(receiver.url, SECRET, 5.0, lambda: NOW, for_ever)
        webhook.send(ALERT)
        await receiver.came.wait()
        await webhook.aclose()
    assert "the process ends" in caplog.text


async def test_neither_the_url_nor_the_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving(404) as receiver, sending(receiver.url) as (webhook, _):
        webhook.send(ALERT)
        webhook.send(ALERT)
    ours = [each for each in caplog.records if not each.name.startswith("asyncio")]
    text = "\n".join(f"{each.getMessage()} {each.args}" for each in ours)
    assert "could not be sent" in text
    assert "t0k3n" not in text
    assert "/hook" not in text
    assert SECRET.decode() not in text


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with receiving() as receiver:
        async with sending(receiver.url) as (webhook, pauses):
            webhook.send(ALERT)
        assert (len(receiver.requests), pauses.taken) == (1, [])
