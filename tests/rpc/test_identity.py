"""Identity at the wire: metadata, its oddities, and the order in which a call is refused."""

from __future__ import annotations

import asyncio
import logging

import grpc
import grpc.aio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from muxer.v1 import muxer_service_pb2

from muxer_grpc.domain.tenancy import Principal, Role, Subject
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.calls import CallLimits, Calls
from muxer_grpc.rpc.gates import Guards
from muxer_grpc.rpc.listener import Listener, ListenerOptions
from muxer_grpc.telemetry.logs import GRPC_LOGGER, keep_metadata_out
from tests.identity.issuer import CLAIMS, signed
from tests.identity.people import KEYS, TENANT, People, by_keys, secret_of
from tests.rpc.callers import ADA, ROUTE, by_key_token_and_mesh, guarded, refusal, route
from tests.rpc.raw_http2 import status_of
from tests.rpc.service import Service, running, spec, told

# What is taken


async def test_keys_tokens_and_the_word_of_a_trusted_proxy_open_the_service() -> None:
    people = People()
    key = people.add_key()
    async with running(guards=guarded(by_key_token_and_mesh(people, "127.0.0.1"))) as service:
        await route(service, ("authorization", f"Bearer {key.text}"))
        await route(service, ("x-api-key", key.text))
        await route(service, ("authorization", f"bearer {signed(CLAIMS)}"))
        await route(service, ("x-forwarded-client-cert", f"By=spiffe://x/y;Hash=1;URI={ADA}"))


async def test_streams_are_guarded_as_unary_calls_are() -> None:
    people = People()
    key = people.add_key()
    async with running(guards=guarded(by_keys(people))) as service:
        request = muxer_service_pb2.StreamCompleteRequest(spec=spec())
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.StreamComplete(request).read()
        assert told(raised.value).reason == "UNAUTHENTICATED"
        metadata = (("authorization", f"Bearer {key.text}"),)
        events = [event async for event in service.stub.StreamComplete(request, metadata=metadata)]
        assert events[-1].HasField("summary")
        assert service.calls.under_way == 0


async def test_a_method_learns_who_calls() -> None:
    people = People()
    key = people.add_key("ada", Role.ADMIN)
    seen: list[Principal] = []

    class Asking:
        async def ask(self, _request: object, limit: TimeLimit) -> muxer_service_pb2.RouteResponse:
            seen.append(limit.principal)
            return muxer_service_pb2.RouteResponse()

        def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler]:  # type: ignore[type-arg]
            return {"Route": calls.unary(muxer_service_pb2.RouteRequest, self.ask)}

    calls = Calls(CallLimits(), lambda: "1", guarded(by_keys(people)))
    listener = Listener(ListenerOptions(("127.0.0.1:0",)), {"muxer.v1.MuxerService": Asking()}, calls)
    await listener.start()
    async with grpc.aio.insecure_channel(listener.addresses[0]) as channel:
        await channel.unary_unary(ROUTE)(b"", metadata=(("x-api-key", key.text),))
    await listener.server.stop(None)
    assert [principal.subject for principal in seen] == [Subject(TENANT, "ada", key.id)]


async def test_a_method_without_a_row_is_refused_to_everybody_with_or_without_an_identity() -> None:
    people = People()
    key = people.add_key("root", Role.ADMIN, "muxer")

    class Unlisted:
        async def ask(self, _request: object, _limit: TimeLimit) -> muxer_service_pb2.RouteResponse:
            raise AssertionError

        def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler]:  # type: ignore[type-arg]
            return {"Ask": calls.unary(muxer_service_pb2.RouteRequest, self.ask)}

    for guards in (guarded(by_keys(people)), Guards()):
        calls = Calls(CallLimits(), lambda: "1", guards)
        listener = Listener(ListenerOptions(("127.0.0.1:0",)), {"muxer.v1.Unlisted": Unlisted()}, calls)
        await listener.start()
        async with grpc.aio.insecure_channel(listener.addresses[0]) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await channel.unary_unary("/muxer.v1.Unlisted/Ask")(b"", metadata=(("x-api-key", key.text),))
        await listener.server.stop(None)
        assert told(raised.value).reason == "PERMISSION_DENIED"


def test_a_method_that_is_not_wrapped_is_not_registered() -> None:
    with pytest.raises(TypeError, match="is not wrapped"):
        Calls(CallLimits(), lambda: "1").registered(
            "muxer.v1.X", {"Y": grpc.unary_unary_rpc_method_handler(lambda: None)}
        )


# What is refused


async def test_a_refusal_is_typed_and_tells_what_would_count_and_nothing_else() -> None:
    people = People()
    key = people.add_key()
    async with running(guards=guarded(by_keys(people))) as service:
        for metadata in ((), (("authorization", f"Bearer {key.prefix}_{'s' * 43}"),), (("x-api-key", "nonsense"),)):
            error = await refusal(service, *metadata)
            assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
            assert error.metadata == {}
            assert error.message == (
                "the call does not prove who makes it; what counts is: "
                "an API key in authorization: Bearer; an API key in x-api-key"
            )


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "x-forwarded-client-cert"])
async def test_a_credential_that_is_given_twice_is_refused_though_both_are_right(name: str) -> None:
    people = People()
    key = people.add_key()
    value = {"authorization": f"Bearer {key.text}", "x-api-key": key.text}.get(name, f"URI={ADA}")
    async with running(guards=guarded(by_key_token_and_mesh(people, "127.0.0.1"))) as service:
        await route(service, (name, value))
        for second in (value, "", "x"):
            assert (await refusal(service, (name, value), (name, second))).reason == "UNAUTHENTICATED"
        both = [("authorization", f"Bearer {key.text}"), ("x-api-key", key.text)]
        assert (await refusal(service, *both)).reason == "UNAUTHENTICATED"


async def test_an_empty_credential_is_a_wrong_one_and_not_none() -> None:
    people = People()
    people.add_key()
    async with running(guards=guarded(by_key_token_and_mesh(people, "127.0.0.1"))) as service:
        word = ("x-forwarded-client-cert", f"URI={ADA}")
        await route(service, word)
        for name in ("authorization", "x-api-key"):
            assert (await refusal(service, word, (name, ""))).reason == "UNAUTHENTICATED"


async def test_the_word_of_a_peer_that_is_no_trusted_proxy_opens_nothing() -> None:
    people = People()
    people.add_user("ada")
    async with running(guards=guarded(by_key_token_and_mesh(people, "10.0.0.0/8", "unix"))) as service:
        for word in (f"URI={ADA}", f'By=x;URI="{ADA}"', f"URI=x,URI={ADA}", "garbage", ""):
            assert (await refusal(service, ("x-forwarded-client-cert", word))).reason == "UNAUTHENTICATED"
    assert people.asked == []


async def test_who_calls_is_asked_before_the_request_is_read() -> None:
    async with running(guards=guarded(by_keys(People()))) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.channel.unary_unary(ROUTE)(b"\xff\xff\xff")
    assert told(raised.value).reason == "UNAUTHENTICATED"


async def test_metadata_beyond_the_bounds_is_refused_by_size() -> None:
    async with running(guards=guarded(by_key_token_and_mesh(People(), "127.0.0.1"))) as service:
        for length, code in (
            (15_000, "UNAUTHENTICATED"),
            (40_000, "RESOURCE_EXHAUSTED"),
            (1_000_000, "RESOURCE_EXHAUSTED"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await route(service, ("authorization", "Bearer " + "a" * length))
            assert raised.value.code().name == code


# Bytes that no client sends, and any that it does


@pytest.mark.parametrize(
    "value", [b"\xff\xfe", "é".encode(), "é".encode("latin-1"), b"\x00", b"\n", b"\r\nx-api-key: y", b"\x7f", b""]
)
async def test_bytes_that_are_no_text_are_refused_and_stand_in_no_log(
    value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    people = People()
    key = people.add_key()
    logger = logging.getLogger(GRPC_LOGGER)
    logger.addFilter(keep_metadata_out)
    try:
        async with running(guards=guarded(by_key_token_and_mesh(people, "127.0.0.1"))) as service:
            address = service.data.addresses[0]
            good = b"Bearer " + key.text.encode()
            assert (
                await status_of(address, ROUTE, (b"authorization", good)) == grpc.StatusCode.INVALID_ARGUMENT.value[0]
            )
            if value:
                for name, text in ((b"authorization", good), (b"x-api-key", key.text.encode())):
                    assert (
                        await status_of(address, ROUTE, (name, text + value))
                        == grpc.StatusCode.UNAUTHENTICATED.value[0]
                    )
            word = (b"x-forwarded-client-cert", value)
            assert await status_of(address, ROUTE, word) == grpc.StatusCode.UNAUTHENTICATED.value[0]
    finally:
        logger.removeFilter(keep_metadata_out)
    assert key.text not in caplog.text
    assert secret_of(key) not in caplog.text


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
WORDS = st.sampled_from(
    [
        "Bearer ",
        "bearer mux_",
        "Basic ",
        KEYS.make().text,
        signed(CLAIMS),
        "eyJ.eyJ.sig",
        f"URI={ADA}",
        "URI=",
        ";",
        ",",
    ]
)
VALUE = st.lists(WORDS | PRINTABLE, max_size=4).map("".join)
METADATA = st.lists(
    st.tuples(st.sampled_from(["authorization", "x-api-key", "x-forwarded-client-cert"]), VALUE), max_size=4
)


def test_any_metadata_is_refused_in_one_of_two_ways_and_never_as_a_defect(caplog: pytest.LogCaptureFixture) -> None:
    people = People()
    reasons = set()

    async def send(service: Service, metadata: list[tuple[str, str]]) -> None:
        asked = len(people.asked)
        reasons.add((await refusal(service, *metadata)).reason)
        assert len(people.asked) - asked <= 2
        assert service.calls.under_way == 0

    # One service answers all examples; each example is a run of its loop.
    with asyncio.Runner() as runner:
        running_one = running(guards=guarded(by_key_token_and_mesh(people, "127.0.0.1")))
        service = runner.run(running_one.__aenter__())

        @settings(max_examples=300, deadline=None)
        @given(METADATA)
        def each(metadata: list[tuple[str, str]]) -> None:
            runner.run(send(service, metadata))

        try:
            each()
        finally:
            runner.run(running_one.__aexit__(None, None, None))
    assert reasons == {"UNAUTHENTICATED"}
    assert "incident" not in caplog.text


async def test_a_wrapped_method_that_was_never_registered_is_closed() -> None:
    async def route(_request: object, _limit: TimeLimit) -> muxer_service_pb2.RouteResponse:
        raise AssertionError

    server = grpc.aio.server()
    methods = {"Route": Calls(CallLimits(), lambda: "1").unary(muxer_service_pb2.RouteRequest, route)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("muxer.v1.MuxerService", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(ROUTE)(b"")
    await server.stop(None)
    assert told(raised.value).reason == "PERMISSION_DENIED"
