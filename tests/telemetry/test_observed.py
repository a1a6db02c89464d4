"""Metrics that are asked for when somebody reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from muxer_grpc.domain.errors import Reason
from tests.telemetry.test_ops import Scrape, complete, of, operated, scrape

NEVER_YET = {"MUXER_RESILIENCE__PROBE_SECONDS": "3600"}


def ages(found: Scrape) -> dict[str, float]:
    return {labels["gen_ai_provider_name"]: age for labels, age in found.get("muxer_probe_age_seconds", [])}


async def test_a_provider_that_answers_calls_is_as_good_as_probed_until_it_is_disabled(tmp_path: Path) -> None:
    async with operated(tmp_path, "plain", **NEVER_YET) as server:
        assert ages(await scrape(of(server))) == {}
        await complete(server.data.addresses[0], "fake/plain")
        assert ages(await scrape(of(server))) == {"fake": pytest.approx(0, abs=60)}
        server.app.control.reports.health.set_disabled(provider="fake", disabled=True)
        assert ages(await scrape(of(server))) == {}


async def test_where_nothing_is_probed_no_provider_has_an_age(tmp_path: Path) -> None:
    async with operated(tmp_path, "plain", MUXER_RESILIENCE__PROBE_SECONDS="0") as server:
        await complete(server.data.addresses[0], "fake/plain")
        assert ages(await scrape(of(server))) == {}


async def test_rare_events_are_shown_before_they_happen(tmp_path: Path) -> None:
    """Prometheus sees no increase in a series that begins with one, and so no alert would fire."""
    async with operated(tmp_path, "plain") as server:
        found = await scrape(of(server))
    assert found["muxer_ledger_commit_failures_total"] == [({}, 0)]
    assert found["muxer_refusals_total"] == [({"muxer_reason": reason.value}, 0) for reason in Reason]
    assert found["muxer_budget_alerts_total"] == [({"muxer_share": share}, 0) for share in ("50", "80", "100")]
