"""`muxer metrics`: the table, its options, and the screen that stays up to date."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from muxer.v1 import billing_pb2, errors_pb2, metrics_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.cli.metrics import cells, headline, metrics_request
from tests.cli.test_remote_commands import typed
from tests.process.running import Process, clean_environment, muxer


def row(**changes: Any) -> metrics_pb2.MetricsRow:
    half = Duration(nanos=500_000_000)
    spread = metrics_pb2.LatencySummary(samples=2, p50=half, p90=half, p95=half, p99=Duration(seconds=1))
    facts: dict[str, Any] = {
        "model": "acme/small",
        "requests": 1_200,
        "success_rate": 0.5,
        "latency": spread,
        "time_to_first_token": spread,
        "usage": billing_pb2.Usage(input_tokens=1_000, cached_input_tokens=5, output_tokens=20, reasoning_tokens=3),
        "cost_nano_usd": 140_000,
        "cost_per_1k_tokens_nano_usd": 1_167,
        "output_tokens_per_second": 41.26,
        "cache": metrics_pb2.CacheFigures(hits=1, misses=1, hit_rate=0.5, saved_nano_usd=2_000),
        "failures": [metrics_pb2.FailureCount(failure_class=errors_pb2.FAILURE_CLASS_OVERLOAD, count=2)],
        "health": metrics_pb2.HEALTH_STATE_DEGRADED,
        "consecutive_failures": 2,
        "cancelled": 3,
    }
    return metrics_pb2.MetricsRow(**(facts | changes))


def table(*rows: metrics_pb2.MetricsRow, words: str = "") -> list[dict[str, str]]:
    """Gives the rows of a table by their columns."""
    figures = muxer_service_pb2.GetMetricsResponse(rows=rows, total=row(model=""))
    columns, found = cells(figures, words.split())
    return [dict(zip(columns, each, strict=True)) for each in found]


def test_a_row_shows_all_its_figures_and_the_last_one_sums_them() -> None:
    one, total = table(row())
    assert one == {
        "model": "acme/small",
        ">requests": "1,200",
        ">success": "50.0 %",
        ">p50 / p90 / p95 / p99 ms": "500 / 500 / 500 / 1,000",
        ">first token ms": "500 / 500 / 500 / 1,000",
        ">tokens/s": "41.3",
        ">tokens": "1,005 + 23",
        ">cost": "$0.00014",
        ">per 1K": "$0.000001167",
        ">cache": "50 %, $0.000002 saved",
        "health": "degraded, 2 failed in a row",
        "failures": "overload 2, cancelled 3",
    }
    assert (total["model"], total[">requests"]) == ("all", "1,200")


def test_what_nobody_has_has_no_column() -> None:
    empty = metrics_pb2.MetricsRow(model="acme/small")
    figures = muxer_service_pb2.GetMetricsResponse(rows=[empty], total=metrics_pb2.MetricsRow())
    columns, _ = cells(figures, [])
    assert columns == ["model", ">requests", ">tokens", ">cost"]


def test_groups_are_named_by_what_they_are_grouped_by() -> None:
    coding = row(intent=routing_pb2.INTENT_CODE_GEN, strategy="cost")
    one, other, total = table(coding, row(strategy="cost"), words="intent strategy")
    assert (one["intent"], one["strategy"], other["intent"]) == ("code_gen", "cost", "-")
    assert (total["intent"], total["strategy"], "model" in total) == ("all", "", False)


def test_a_headline_says_whose_figures_they_are() -> None:
    process = metrics_pb2.ProcessStatus(version="1", instance_id="abc", completions_in_flight=4)
    of_process = muxer_service_pb2.GetMetricsResponse(scope=1, process=process)  # type: ignore[arg-type]
    of_fleet = muxer_service_pb2.GetMetricsResponse(scope=2, tenant_id="acme")  # type: ignore[arg-type]
    assert headline(of_process) == "process abc, version 1,  to , 4 under way"
    assert headline(of_fleet).startswith("fleet, tenant acme, ")


def test_options_become_a_request() -> None:
    request = metrics_request(
        window="5m",
        group_by="model, intent",
        scope="fleet",
        tenant="acme",
        providers=["acme"],
        models=["acme/small"],
        intents=["code_gen"],
        strategies=["cost"],
    )
    assert request == muxer_service_pb2.GetMetricsRequest(
        window=metrics_pb2.METRICS_WINDOW_FIVE_MINUTES,
        group_by=[metrics_pb2.METRICS_DIMENSION_MODEL, metrics_pb2.METRICS_DIMENSION_INTENT],
        scope=metrics_pb2.METRICS_SCOPE_FLEET,
        tenant_id="acme",
        providers=["acme"],
        models=["acme/small"],
        intents=[routing_pb2.INTENT_CODE_GEN],
        strategies=["cost"],
    )


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"window": "2m"}, "--window '2m' is not one of 1m, 5m, 1h, start"),
    ({"scope": "world"}, "--scope 'world' is not one of process, fleet"),
    ({"group_by": "model,tenant"}, "--group-by 'tenant' is not one of provider, model, intent, strategy"),
    ({"intents": ["unspecified"]}, "--intent 'unspecified' is not one of chat_lite, "),
]


@pytest.mark.parametrize(("given", "said"), WRONG)
def test_a_word_that_names_nothing_is_told_with_those_that_do(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r"is not one of") as raised:
        metrics_request(**given)
    assert str(raised.value).startswith(said)


async def started(service: Process, *arguments: str, **streams: Any) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "muxer_grpc", "metrics", *arguments),
        env=clean_environment(MUXER_TARGET=service.target, TERM="xterm", COLUMNS="200", LINES="40"),
        **streams,
    )


async def test_figures_at_the_command_line(tmp_path: Path) -> None:
    """One service for all commands: starting one takes longer than any of them."""
    async with muxer(tmp_path) as service:
        assert (await typed(service, "complete", "hello there"))[0] == 0
        code, out, _ = await typed(service, "metrics", "--window", "1m", "--group-by", "model,intent")
        first, heading, one, total = (line.split() for line in out.splitlines())
        assert (code, first[0], heading[:2]) == (0, "process", ["model", "intent"])
        assert (one[:3], one[3:5], total[:2]) == (
            ["sandbox/sandbox-economy", "chat_lite", "1"],
            ["100.0", "%"],
            ["all", "1"],
        )

        code, out, _ = await typed(service, "metrics", "--scope", "fleet", "--json")
        told = json.loads(out)
        assert (code, told["scope"], told["total"]["requests"]) == (0, "METRICS_SCOPE_FLEET", "1")

        code, _, err = await typed(service, "metrics", "--window", "2m")
        assert (code, err) == (2, "muxer: --window '2m' is not one of 1m, 5m, 1h, start\n")

        await watched_lines(service)
        await watched_screen(service)


async def watched_lines(service: Process) -> None:
    """Without a terminal, a watch writes; over a service that goes away it goes on, and Ctrl-C ends it with 130."""
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    watch = await started(service, "--watch", "--every", "0.1", "--timeout", "2", "--json", **pipes)
    assert watch.stdout is not None
    assert watch.stderr is not None
    async with asyncio.timeout(30):
        for _ in range(2):
            assert json.loads(await watch.stdout.readline())["total"]["requests"] == "1"
        service.process.send_signal(signal.SIGSTOP)
        try:
            trouble = (await watch.stderr.readline()).decode()
        finally:
            service.process.send_signal(signal.SIGCONT)
        assert trouble == "muxer: DEADLINE_EXCEEDED: the figures are old; trying again\n"
        assert json.loads(await watch.stdout.readline())["total"]["requests"] == "1"
        watch.send_signal(signal.SIGINT)
        # What stands in the pipe yet must be read, so that it can end.
        await watch.communicate()
    assert watch.returncode == 130


async def watched_screen(service: Process) -> None:
    """On a terminal, a watch has a screen of its own, and gives it back when Ctrl-C ends it."""
    ours, theirs = pty.openpty()
    watch = await started(service, "--watch", "--every", "0.1", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = ""
    async with asyncio.timeout(30):
        while seen.count("sandbox/sandbox-economy") < 2:
            seen += (await asyncio.to_thread(os.read, ours, 65_536)).decode(errors="replace")
        watch.send_signal(signal.SIGINT)
        while "\x1b[?1049l" not in seen:
            seen += (await asyncio.to_thread(os.read, ours, 65_536)).decode(errors="replace")
        await watch.wait()
    os.close(ours)
    assert watch.returncode == 130
    assert "Traceback" not in seen
    assert seen.index("\x1b[?1049h") < seen.index("sandbox/sandbox-economy") < seen.index("\x1b[?1049l")
