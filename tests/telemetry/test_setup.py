"""Telemetry is as the standard variables say, or says what is wrong with them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import grpc.aio
import pytest
from muxer.v1 import muxer_service_pb2

from muxer_grpc.telemetry import names
from muxer_grpc.telemetry.instruments import MOST_CELLS, Counter, Histogram, Instruments
from muxer_grpc.telemetry.logs import JsonFormatter
from muxer_grpc.telemetry.setup import TelemetryMisconfigured, TelemetryWishes, open_telemetry, sends
from tests.process.running import clean_environment
from tests.rpc.service import spec
from tests.telemetry.receiver import attributes, traced

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
WISHES = TelemetryWishes("i", "1")


@pytest.mark.parametrize(
    ("variables", "sent"),
    [
        ({}, (False, False)),
        (ENDPOINT, (True, True)),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, (False, False)),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, (False, True)),
        ({**ENDPOINT, "OTEL_METRICS_EXPORTER": "none"}, (True, False)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, (True, False)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1/v1/metrics"}, (False, True)),
    ],
)
def test_a_signal_is_sent_where_it_has_an_endpoint_and_is_not_switched_off(
    variables: dict[str, str], sent: tuple[bool, bool]
) -> None:
    assert (sends("traces", variables), sends("metrics", variables)) == sent


@pytest.mark.parametrize(
    "variables",
    [
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "zipkin"},
        {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {**ENDPOINT, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"},
    ],
)
async def test_what_there_is_not_is_refused_at_the_start(variables: dict[str, str]) -> None:
    with pytest.raises(TelemetryMisconfigured, match="OTEL_"):
        async with open_telemetry(WISHES, variables):
            pass


def test_a_service_that_cannot_do_what_a_variable_asks_for_says_so_in_one_line(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "muxer_grpc", "serve"],
        cwd=tmp_path,
        env=clean_environment(**ENDPOINT, OTEL_TRACES_EXPORTER="zipkin"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "muxer: OTEL_TRACES_EXPORTER is 'zipkin': it must be otlp or none\n"


async def test_without_an_endpoint_nothing_of_the_sdk_is_there() -> None:
    async with open_telemetry(WISHES, {}) as telemetry:
        assert telemetry.instruments is None
    code = (
        "import sys, muxer_grpc.server; "
        "sys.exit(bool([m for m in sys.modules if m.startswith(('opentelemetry', 'prometheus_client'))]))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    ("switch", "found"),
    [
        ("", {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}),
        (names.LATEST, {"gen_ai.client.inference.duration", "gen_ai.client.inference.usage.input_tokens"}),
        (
            f"http,{names.LATEST}/dup",
            {
                "gen_ai.client.operation.duration",
                "gen_ai.client.token.usage",
                "gen_ai.client.inference.duration",
                "gen_ai.client.inference.usage.input_tokens",
            },
        ),
    ],
)
async def test_the_names_of_metrics_are_those_of_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str, found: set[str]
) -> None:
    async with traced(tmp_path, monkeypatch, "plain", OTEL_SEMCONV_STABILITY_OPT_IN=switch) as service:
        asked = muxer_service_pb2.CompleteRequest(spec=spec("hello", requested_model="fake/plain"))
        await service.stub.Complete(asked, timeout=20)
        await service.receiver.until(lambda: found <= service.receiver.metrics.keys())
        ours = {name for name in service.receiver.metrics if name.startswith("gen_ai.")}
    per_kind = {name for name in ours if name.startswith("gen_ai.client.inference.usage.")}
    assert ours - per_kind == {name for name in found if "usage." not in name.partition("inference.")[2]}


async def test_the_resource_says_who_it_is_and_the_standard_variables_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standard = {"OTEL_SERVICE_NAME": "router", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}
    async with traced(tmp_path, monkeypatch, "plain", **standard) as service:
        await service.stub.GetMetrics(muxer_service_pb2.GetMetricsRequest(), timeout=20)
        await service.receiver.until(lambda: bool(service.receiver.resource))
    resource = service.receiver.resource
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("router", "test")
    assert len(resource["service.instance.id"]) == 24


async def test_each_call_writes_one_line_with_its_ids_and_none_of_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "muxer_grpc.calls")
    caplog.handler.setFormatter(JsonFormatter())
    async with traced(tmp_path, monkeypatch, "plain") as service:
        asked = muxer_service_pb2.CompleteRequest(spec=spec("my own words", requested_model="fake/plain"))
        reply = await service.stub.Complete(asked, timeout=20)
        with pytest.raises(grpc.aio.AioRpcError):
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(), timeout=20)
        await service.receiver.until(lambda: len(service.receiver.named("muxer.v1.MuxerService/Complete")) == 2)
        span = service.receiver.named("muxer.v1.MuxerService/Complete")[0]
    lines = [json.loads(line) for line in caplog.text.splitlines() if '"muxer_grpc.calls"' in line]
    assert [(line["level"], line["method"], line["code"]) for line in lines] == [
        ("info", "Complete", "OK"),
        ("info", "Complete", "INVALID_ARGUMENT"),
    ]
    first, second = lines
    assert first["completion_id"] == reply.summary.completion_id
    assert first["decision_id"] == reply.decision.decision_id
    assert first["cost_nano_usd"] == reply.summary.cost.total_nano_usd
    assert (first["trace_id"], first["span_id"]) == (span.trace_id.hex(), span.span_id.hex())
    assert first["decision_id"] == attributes(span.attributes)["muxer.decision.id"]
    assert second["reason"] == "INVALID_REQUEST"
    assert "my own words" not in caplog.text


async def test_the_lines_of_calls_can_be_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with traced(tmp_path, monkeypatch, "plain", MUXER_LOG__CALLS="false") as service:
        await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec("hello")), timeout=20)
    assert "muxer_grpc.calls" not in caplog.text


def test_attributes_are_bounded_whatever_is_counted() -> None:
    counter, histogram = Counter(names.REFUSALS), Histogram(names.DECIDE_DURATION)
    for number in range(MOST_CELLS + 100):
        counter.add((f"{number}",))
        histogram.record((f"{number}",), 1.0)
    assert len(counter.cells) == len(histogram.cells) == MOST_CELLS + 1
    assert counter.cells["_OTHER",] == 100
    assert histogram.cells["_OTHER",].count == 100


def test_a_value_on_a_bound_is_in_the_bucket_that_ends_there() -> None:
    histogram = Histogram(names.COMMIT_CHANGES)
    for value in (1, 2, 3, 1_000):
        histogram.record((), value)
    assert histogram.cells[()].counts == [1, 1, 1, 0, 0, 0, 0, 0, 0, 1]
    assert (histogram.cells[()].least, histogram.cells[()].most, histogram.cells[()].total) == (1, 1_000, 1_006)


def test_every_metric_has_a_description_and_names_only_attributes_that_are_allowed() -> None:
    instruments = Instruments()
    assert instruments.histograms.keys() == {metric.name for metric in names.HISTOGRAMS}
    for metric in (*names.HISTOGRAMS, *names.COUNTERS, *names.OBSERVED):
        assert metric.description.endswith(".")
        assert metric.unit
        # Never a tenant, a user, a key or a prompt.
        assert not {names.TENANT, names.DECISION_ID, names.COMPLETION_ID} & set(metric.attributes)
