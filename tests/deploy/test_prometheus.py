"""Prometheus reads what the service tells, the rules and the configuration that ship, and sums workers up rightly."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.deploy.prometheus import (
    CONFIGURATION,
    RULES,
    RULES_TEST,
    needs_prometheus,
    prometheus,
    prometheus_queries,
    promtool,
    with_values,
)
from tests.process.running import muxer
from tests.telemetry.test_ops import complete, free_pair, get, of, operated, scrape

pytestmark = needs_prometheus


async def test_promtool_finds_nothing_to_mend_in_the_metrics_of_a_service_that_was_called(tmp_path: Path) -> None:
    async with operated(tmp_path, "plain", MUXER_CACHE__ENABLED="true") as server:
        await complete(server.data.addresses[0], "fake/plain", 2)
        _, told, _ = await get(of(server), "/metrics")
    assert await promtool("check", "metrics", given=told.encode()) == (0, "")
    wrong = told.replace("muxer_cost_total", "muxer_cost").encode()
    assert (await promtool("check", "metrics", given=wrong))[0] != 0


@pytest.mark.parametrize(("what", "file"), [("rules", RULES), ("config", CONFIGURATION)], ids=["rules", "config"])
async def test_promtool_accepts_what_ships(what: str, file: Path) -> None:
    code, said = await promtool("check", what, file)
    assert (code, "SUCCESS" in said, "FAILED" in said, "error" in said) == (0, True, False, False), said


async def test_every_alert_fires_when_it_must_and_is_silent_when_it_must_not(tmp_path: Path) -> None:
    code, said = await promtool("test", "rules", RULES_TEST)
    assert (code, "SUCCESS" in said) == (0, True), said


@pytest.mark.slow
async def test_prometheus_sums_up_two_workers_and_answers_what_dashboards_ask(tmp_path: Path) -> None:
    first, second, data = await free_pair()
    listen = {
        "MUXER_SERVER__LISTEN": f"127.0.0.1:{data}",
        "MUXER_SERVER__ADMIN_LISTEN": "",
        "MUXER_OPS__LISTEN": f"127.0.0.1:{first}",
        "MUXER_STORAGE__URL": f"sqlite:///{tmp_path}/muxer.db",
    }
    targets = (f"127.0.0.1:{first}", f"127.0.0.1:{second}")
    # Prometheus takes five seconds to find its targets, whatever they are: the service starts meanwhile.
    async with prometheus(tmp_path, *targets) as asked, muxer(tmp_path, "--workers", "2", **listen) as service:
        # Each on a connection of its own, which the kernel gives to one of the workers.
        costs = await asyncio.gather(*(complete(service.target, "sandbox/sandbox-economy") for _ in range(12)))
        await asked.until("sum(muxer_completions_total)", 12)
        await asked.until("sum(muxer_cost_total)", sum(costs))
        await asked.until("sum(muxer_ledger_settled_total)", sum(costs))
        for target in targets:
            told = (await scrape(target)).get("muxer_completions_total", [])
            # A worker that answered nothing has told of nothing.
            if told:
                own = f'sum(muxer_completions_total{{instance="{target}"}})'
                await asked.until(own, sum(count for _, count in told))
            await asked.until(f'count(muxer_build{{instance="{target}"}})', 1)
        rules = (await asked.get("rules"))["groups"]
        assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}
        for query in prometheus_queries():
            await asked.query(with_values(query.text))
        assert await service.stopped() == 0
        await asked.until('count(up{job="muxer"} == 0)', 2)
