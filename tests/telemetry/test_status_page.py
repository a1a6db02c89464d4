"""The status page of a running service: what it shows of calls, budgets and providers, and whom it refuses."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import psycopg
from muxer.v1 import muxer_service_pb2, muxer_service_pb2_grpc
from sqlalchemy import update

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.domain.tenancy import LOCAL_TENANT
from muxer_grpc.server import RunningServer
from muxer_grpc.storage.budgets import BudgetTable
from muxer_grpc.storage.schema import tenants
from tests.rpc.service import spec
from tests.telemetry.test_ops import get, of, operated

SECRET = "the password of the vault is swordfish"
EVIL = "<script>alert(1)</script>"


async def call(server: RunningServer, model: str) -> int:
    """Calls a model, whatever comes of it; gives what it cost."""
    async with grpc.aio.insecure_channel(server.data.addresses[0]) as channel:
        stub = muxer_service_pb2_grpc.MuxerServiceStub(channel)
        asked = muxer_service_pb2.CompleteRequest(spec=spec(SECRET, requested_model=model))
        try:
            return (await stub.Complete(asked, timeout=20)).summary.cost.total_nano_usd
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            return 0


async def status(server: RunningServer) -> dict[str, Any]:
    """Reads the status; a machine that is so slow that budgets are not known in time is asked again."""
    while True:
        code, text, headers = await get(of(server), "/status.json")
        assert (code, headers["content-type"].split(";")[0]) == (200, "application/json")
        told = dict(json.loads(text))
        if told["budgets"] is not None:
            return told


async def test_the_page_and_its_json_show_what_was_called_decided_and_spent_and_nothing_of_what_was_said(
    tmp_path: Path,
) -> None:
    async with operated(tmp_path, "plain", "error-overloaded") as server:
        storage = server.app.storage
        assert storage is not None
        async with storage.database.change() as connection:
            named = update(tenants).where(tenants.c.id == LOCAL_TENANT).values(display_name=EVIL)
            await connection.execute(named)
        budget = Budget("all", LOCAL_TENANT, Period.TOTAL, 10**9)
        await BudgetTable(storage.database).create(budget, Actor("test", 1))
        cost = sum([await call(server, name) for name in ("fake/plain", "fake/plain", "fake/error-overloaded")])
        told = await status(server)
        page = ""
        while "<h2" not in page or "Not known" in page:
            code, page, headers = await get(of(server), "/")
    assert cost > 0
    assert (told["five_minutes"]["requests"], told["hour"]["cost_nano_usd"]) == (3, cost)
    assert {each["name"]: each["hour"]["success_rate"] for each in told["models"]} == {
        "fake/plain": 1.0,
        "fake/error-overloaded": 0.0,
    }
    [fake] = [each for each in told["providers"] if each["name"] == "fake"]
    assert (fake["breaker"], round(fake["success_rate"], 2)) == ("closed", 0.67)
    [shown] = told["budgets"]
    assert (shown["tenant_name"], shown["spent_nano_usd"], shown["share"]) == (EVIL, cost, cost / 10**9)
    assert [each["outcome"] for each in told["decisions"]] == ["failed", "complete", "complete"]
    assert told["decisions"][1]["explanation"] == "fake/plain: it was asked for by name"
    assert (told["load"]["completions"], told["process"]["draining"]) == (0, False)
    assert (code, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert escape(EVIL) in page
    assert EVIL not in page
    assert told["decisions"][0]["decision_id"] in page
    for text in (page, json.dumps(told)):
        assert not any(word in text for word in ("password", "swordfish"))


async def test_a_database_that_hangs_leaves_budgets_not_known_and_holds_up_neither_the_page_nor_the_end(
    postgresql_url: str, tmp_path: Path
) -> None:
    variables = {"MUXER_STORAGE__URL": postgresql_url}
    locking = await psycopg.AsyncConnection.connect(postgresql_url)
    async with operated(tmp_path, "plain", **variables) as server, locking as holder:
        await holder.execute("LOCK TABLE budgets IN ACCESS EXCLUSIVE MODE")
        _, page, _ = await get(of(server), "/")
        _, told, _ = await get(of(server), "/status.json")
        assert "Not known: the database did not say in time." in page
        assert json.loads(told)["budgets"] is None
        assert [each["name"] for each in json.loads(told)["providers"]] == ["fake", "sandbox"]
        await server.drain()
        assert server.ops is not None
        await server.ops.stop()


async def test_the_page_loads_nothing_from_elsewhere_and_its_policy_lets_nothing_else_run(tmp_path: Path) -> None:
    async with operated(tmp_path, "plain") as server:
        _, page, headers = await get(of(server), "/")
        files = {path: await get(of(server), f"/{path}") for path in ("status.js", "status.css")}
    assert {link for link in re.findall(r'(?:src|href)="([^"]*)', page) if not link.startswith("data:")} == set(files)
    assert [headers["content-type"] for _, _, headers in files.values()] == [
        "text/javascript; charset=utf-8",
        "text/css; charset=utf-8",
    ]
    assert not any("://" in text for _, text, _ in files.values())
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "script-src": "'self'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert " style=" not in page


async def test_the_page_is_only_read_and_only_by_names_of_this_machine(tmp_path: Path) -> None:
    async with operated(tmp_path, "plain") as server, aiohttp.ClientSession() as session:
        found = []
        for path in ("/", "/status.json"):
            assert (await get(of(server), path, "POST"))[0] == 405
            for host in ("localhost:9464", "127.0.0.1", "[::1]:1", "status.example.com", "127.0.0.1.example.com:80"):
                async with session.get(f"http://{of(server)}{path}", headers={"host": host}) as reply:
                    found.append(reply.status)
    assert found == [200, 200, 200, 421, 421] * 2
