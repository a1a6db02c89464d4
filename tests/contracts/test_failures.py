"""Whatever goes wrong at a provider becomes one classified failure, unary and stream alike, and nothing else."""

from __future__ import annotations

import asyncio
import gzip
import json
import time

import pytest

from muxer_grpc.domain.completion import ProviderEvent, TextDelta
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.ports import Provider
from muxer_grpc.providers.base_urls import checked_base_url
from muxer_grpc.providers.registry import Connection, Timeouts
from tests.contracts.cases import QUICK, Case, heard, opened, request_of
from tests.fakes import answers
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider


async def failure_of(provider: Provider, case: Case, *, stream: bool) -> tuple[ProviderFailure, list[ProviderEvent]]:
    """Gives the failure of a call, and what came before it."""
    came: list[ProviderEvent] = []
    with pytest.raises(ProviderFailure) as raised:
        async for event in provider.stream(request_of(case.name, stream=stream)):
            came.append(event)
    return raised.value, came


ERRORS = {
    "bad_request": FailureClass.CALLER_FAULT,
    "credential": FailureClass.CREDENTIAL,
    "not_found": FailureClass.MODEL_GONE,
    "rate_limit": FailureClass.RATE_LIMIT,
    "quota": FailureClass.QUOTA,
    "server_error": FailureClass.TRANSIENT,
    "overloaded": FailureClass.OVERLOAD,
    "context_length": FailureClass.CONTEXT_LENGTH,
    "content_filter": FailureClass.CONTENT_FILTER,
    "prefill_refused": FailureClass.CALLER_FAULT,
}


@pytest.mark.parametrize("kind", ERRORS)
async def test_an_error_is_classified(
    case: Case, fake: FakeProvider, provider: Provider, stream: bool, kind: str
) -> None:
    fake.script("m1", Play(error=kind))
    failure, came = await failure_of(provider, case, stream=stream)
    assert failure.failure_class is ERRORS[kind]
    assert failure.http_status == case.dialect.error(kind)[0]
    assert came == []


async def test_after_an_error_the_next_call_succeeds(
    case: Case, fake: FakeProvider, provider: Provider, stream: bool
) -> None:
    fake.script("m1", Play(error="server_error"), Play())
    await failure_of(provider, case, stream=stream)
    assert (await heard(provider, request_of(case.name, stream=stream))).text == answers.PLAIN.text


def in_two_seconds() -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [(("retry-after", "2"), 2, 2), (("retry-after-ms", "1500"), 1.5, 1.5), (("retry-after", "DATE"), 0, 2)],
    ids=["seconds", "milliseconds", "date"],
)
async def test_how_long_to_wait_is_read(
    case: Case, fake: FakeProvider, provider: Provider, header: tuple[str, str], least: float, most: float
) -> None:
    value = in_two_seconds() if header[1] == "DATE" else header[1]
    fake.script("m1", Play(error="rate_limit", headers=((header[0], value),)))
    failure, _ = await failure_of(provider, case, stream=False)
    assert failure.retry_after_seconds is not None
    assert least <= failure.retry_after_seconds <= most


async def test_without_the_header_no_wait_is_invented(case: Case, fake: FakeProvider, provider: Provider) -> None:
    fake.script("m1", Play(error="rate_limit"))
    failure, _ = await failure_of(provider, case, stream=False)
    assert failure.retry_after_seconds is None


# A name for each fault, what the provider does, and the classes that tell it rightly.
FAULTS: dict[str, tuple[Play, set[FailureClass]]] = {
    "a reset before any header": (Play(reset=True), {FailureClass.TRANSIENT}),
    "headers of a megabyte": (Play(body=b"{}", header_bytes=1_000_000), {FailureClass.PROTOCOL}),
    "a redirect": (
        Play(status=302, body=b"", headers=(("location", "http://127.0.0.1:1/"),)),
        {FailureClass.PROTOCOL},
    ),
    "a wrong content type": (Play(body=b"<html>hi</html>", content_type="text/html"), {FailureClass.PROTOCOL}),
    "a body that is no JSON": (Play(body=b"not json"), {FailureClass.PROTOCOL}),
    "a body that is no object": (Play(body=b"[1,2]"), {FailureClass.PROTOCOL}),
    "an object of another shape": (Play(body=b'{"type":"message","hello":"world"}'), set(FailureClass)),
    "a compressed body": (
        Play(body=gzip.compress(b"{}" * 1000), headers=(("content-encoding", "gzip"),)),
        {FailureClass.PROTOCOL},
    ),
    "an error without a body": (Play(status=500, body=b""), {FailureClass.TRANSIENT}),
    "an error that is a page": (
        Play(status=502, body=b"<html>Bad gateway</html>", content_type="text/html"),
        {FailureClass.TRANSIENT},
    ),
    "an endless body": (Play(body=b"", endless=True), {FailureClass.PROTOCOL}),
    "silence": (Play(silent=True), {FailureClass.TIMEOUT}),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_line_is_classified_and_bounded(
    case: Case, fake: FakeProvider, stream: bool, fault: str
) -> None:
    play, right = FAULTS[fault]
    fake.script("m1", play)
    quick = Timeouts(connect=1, pool=1, first_byte=0.3, gap=1)
    async with opened(case.name, fake.url, quick if play.silent else QUICK) as provider, asyncio.timeout(15):
        failure, came = await failure_of(provider, case, stream=stream)
    assert failure.failure_class in right
    assert came == []


async def test_a_success_that_holds_an_error_is_a_failure(
    case: Case, fake: FakeProvider, provider: Provider, stream: bool
) -> None:
    fake.script("m1", Play(body=case.dialect.error("server_error")[1]))
    failure, _ = await failure_of(provider, case, stream=stream)
    assert failure.failure_class is FailureClass.TRANSIENT


@pytest.mark.parametrize("position", [0, 4], ids=["at its beginning", "in its middle"])
async def test_an_error_inside_a_stream_is_classified(
    case: Case, fake: FakeProvider, provider: Provider, position: int
) -> None:
    fake.script("m1", Play(error_at=position))
    failure, _ = await failure_of(provider, case, stream=True)
    assert failure.failure_class in {FailureClass.TRANSIENT, FailureClass.OVERLOAD}


async def test_one_broken_event_is_a_failure_and_what_came_before_it_stands(
    case: Case, fake: FakeProvider, provider: Provider
) -> None:
    fake.script("m1", Play(garbage_at=5, pause=0.001))
    failure, came = await failure_of(provider, case, stream=True)
    assert failure.failure_class is FailureClass.PROTOCOL
    text = "".join(event.text for event in came if isinstance(event, TextDelta))
    assert answers.PLAIN.text.startswith(text)
    assert text or case.name == "anthropic"


async def test_a_stall_within_a_stream_is_a_timeout(case: Case, fake: FakeProvider) -> None:
    fake.script("m1", Play(stall_after=4, stall=60.0))
    timeouts = Timeouts(connect=1, pool=1, first_byte=1, gap=0.2)
    async with opened(case.name, fake.url, timeouts) as provider:
        failure, came = await failure_of(provider, case, stream=True)
    assert failure.failure_class is FailureClass.TIMEOUT
    assert came != []


async def test_an_endless_line_within_a_stream_is_a_broken_protocol(
    case: Case, fake: FakeProvider, provider: Provider
) -> None:
    fake.script("m1", Play(body=b"", endless=True, content_type=case.dialect.stream_type))
    async with asyncio.timeout(15):
        failure, came = await failure_of(provider, case, stream=True)
    assert (failure.failure_class, came) == (FailureClass.PROTOCOL, [])


async def test_a_late_first_byte_within_its_bound_is_waited_for(case: Case, fake: FakeProvider, stream: bool) -> None:
    fake.script("m1", Play(delay=0.4))
    async with opened(case.name, fake.url, Timeouts(connect=1, pool=1, first_byte=5, gap=0.2)) as provider:
        assert (await heard(provider, request_of(case.name, stream=stream))).text == answers.PLAIN.text


async def test_nobody_at_the_address_is_transient(case: Case, stream: bool) -> None:
    async with opened(case.name, "http://127.0.0.1:1") as provider:
        failure, _ = await failure_of(provider, case, stream=stream)
    assert failure.failure_class is FailureClass.TRANSIENT


async def test_a_name_that_nobody_has_is_transient(case: Case) -> None:
    # A name this long is refused without asking any name server.
    async with opened(case.name, f"http://{'.'.join(['a' * 60] * 5)}.invalid") as provider:
        failure, _ = await failure_of(provider, case, stream=False)
    assert failure.failure_class is FailureClass.TRANSIENT


async def test_a_server_without_tls_where_tls_is_expected_is_never_talked_to(case: Case, fake: FakeProvider) -> None:
    quick = Timeouts(connect=0.3, pool=1, first_byte=1, gap=1)
    async with opened(case.name, fake.url.replace("http:", "https:"), quick) as provider:
        failure, _ = await failure_of(provider, case, stream=False)
    assert failure.failure_class in {FailureClass.TRANSIENT, FailureClass.TIMEOUT}
    assert fake.received == []


async def test_no_failure_tells_the_key(case: Case, fake: FakeProvider, provider: Provider) -> None:
    fake.script("m1", Play(status=401, body=json.dumps({"error": {"message": "bad key"}}).encode()))
    failure, _ = await failure_of(provider, case, stream=False)
    assert "key-1" not in f"{failure} {failure.detail} {failure.__cause__}"


def test_the_key_is_not_in_the_connections_repr() -> None:
    assert "key-1" not in repr(Connection("p", "http://127.0.0.1", "key-1"))


@pytest.mark.parametrize(
    "url", ["ftp://a", "http://u:p@a", "http://", "nothing", "http://a/?q=1", "http://a..b", f"http://{'a' * 64}"]
)
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a base URL must"):
        checked_base_url(url)
