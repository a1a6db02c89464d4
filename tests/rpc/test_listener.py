"""Listeners: health, reflection, strange methods and bytes, admission, addresses."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import aclosing
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from muxer.v1 import catalogue_service_pb2, catalogue_service_pb2_grpc, muxer_service_pb2

from muxer_grpc.domain.completion import TextDelta
from muxer_grpc.domain.errors import Draining
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc import health_messages
from muxer_grpc.rpc.calls import CallLimits
from muxer_grpc.rpc.listener import Listener, ListenerOptions
from muxer_grpc.rpc.servicers.health import HealthServicer
from tests.rpc.service import play, running, spec, told

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
LIST = "/grpc.health.v1.Health/List"


def health_call(channel: grpc.aio.Channel) -> grpc.aio.UnaryUnaryMultiCallable:  # type: ignore[type-arg]
    return channel.unary_unary(
        CHECK,
        request_serializer=health_messages.HealthCheckRequest.SerializeToString,
        response_deserializer=health_messages.HealthCheckResponse.FromString,
    )


@pytest.mark.parametrize("service_name", ["", "muxer.v1.MuxerService"])
async def test_health_says_serving(service_name: str) -> None:
    async with running() as service:
        reply = await health_call(service.channel)(health_messages.HealthCheckRequest(service=service_name))
    assert reply.status == health_messages.SERVING


async def test_health_of_an_unknown_service_is_not_found() -> None:
    async with running() as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await health_call(service.channel)(health_messages.HealthCheckRequest(service="nope"))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_lists_all_services() -> None:
    async with running() as service:
        listing = service.channel.unary_unary(
            LIST,
            request_serializer=health_messages.HealthListRequest.SerializeToString,
            response_deserializer=health_messages.HealthListResponse.FromString,
        )
        reply = await listing(health_messages.HealthListRequest())
    assert set(reply.statuses) == {"", "muxer.v1.MuxerService"}


async def test_watch_tells_of_the_drain_and_ends_so_that_the_stop_is_quick() -> None:
    async with running() as service:
        watch = service.channel.unary_stream(
            WATCH,
            request_serializer=health_messages.HealthCheckRequest.SerializeToString,
            response_deserializer=health_messages.HealthCheckResponse.FromString,
        )(health_messages.HealthCheckRequest())
        assert (await watch.read()).status == health_messages.SERVING
        service.data.health.drain()
        assert (await watch.read()).status == health_messages.NOT_SERVING
        assert await watch.read() is grpc.aio.EOF
        async with asyncio.timeout(5):
            await service.data.server.stop(60)


async def test_a_drain_that_begins_while_a_status_is_sent_is_told() -> None:
    health = HealthServicer(["muxer.v1.MuxerService"])
    health.serve()
    limit = TimeLimit(asyncio.get_running_loop().time() + 60)
    async with aclosing(health.watch(health_messages.HealthCheckRequest(), limit)) as replies:
        told = [(await anext(replies)).status]
        health.drain()
        told += [reply.status async for reply in replies]
    assert told == [health_messages.SERVING, health_messages.NOT_SERVING]


async def test_watch_of_an_unknown_service_says_so_and_stays_open() -> None:
    async with running() as service:
        watch = service.channel.unary_stream(
            WATCH,
            request_serializer=health_messages.HealthCheckRequest.SerializeToString,
            response_deserializer=health_messages.HealthCheckResponse.FromString,
        )(health_messages.HealthCheckRequest(service="nope"))
        assert (await watch.read()).status == health_messages.SERVICE_UNKNOWN
        assert not watch.done()
        watch.cancel()


async def test_a_drain_ends_a_reflection_stream_that_waits_for_its_caller_at_once() -> None:
    async with running() as service:
        call = service.channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        assert (await call.read()).list_services_response.service
        service.calls.idle_streams.end_all(Draining("the process is shutting down", retry_after_seconds=0.05))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert told(raised.value).reason == "DRAINING"
        await service.data.server.stop(60)


async def test_a_reflection_stream_without_a_deadline_is_bounded_by_the_service() -> None:
    async with running(limits=CallLimits(default_deadline_seconds=0.2)) as service:
        call = service.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert told(raised.value).reason == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_the_services_under_both_names(version: str) -> None:
    async with running() as service:
        call = service.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        reply = await call.read()
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"))
        health_file = await call.read()
        await call.write(
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"grpc.reflection.{version}.ServerReflection")
        )
        own_file = await call.read()
        await call.done_writing()
    names = {each.name for each in reply.list_services_response.service}
    assert {"muxer.v1.MuxerService", "grpc.health.v1.Health"} <= names
    assert "muxer.v1.CatalogueService" not in names
    assert own_file.file_descriptor_response.file_descriptor_proto
    assert health_file.file_descriptor_response.file_descriptor_proto


@pytest.mark.parametrize("shape", ["unary", "stream"])
async def test_an_unknown_method_is_unimplemented_with_a_reason(shape: str) -> None:
    async with running() as service:
        method = "/muxer.v1.MuxerService/Nope"
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            if shape == "unary":
                await service.channel.unary_unary(method)(b"")
            else:
                await service.channel.unary_stream(method)(b"").read()
    error = told(raised.value)
    assert (error.code, error.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND")


async def test_bytes_that_are_no_message_are_an_invalid_request() -> None:
    async with running() as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.channel.unary_unary("/muxer.v1.MuxerService/Complete")(b"\xff\xff\xff")
    assert told(raised.value).reason == "INVALID_REQUEST"


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer_or_a_typed_error(data: bytes) -> None:
    async def send() -> None:
        async with running() as service:
            try:
                await service.channel.unary_unary("/muxer.v1.MuxerService/Route")(data)
            except grpc.aio.AioRpcError as error:
                assert told(error).reason in {"INVALID_REQUEST", "MODEL_NOT_FOUND", "NO_ELIGIBLE_MODEL"}

    asyncio.run(send())


async def test_a_message_over_the_limit_is_refused() -> None:
    async with running(options={"max_receive_bytes": 10_000}) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec("x" * 20_000)))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_too_many_streams_are_shed_with_a_delay_while_unary_and_health_go_on() -> None:
    never = asyncio.Event()
    limits = CallLimits(max_unary=5, max_streams=1)
    async with running(play(TextDelta("a"), never), limits=limits) as service:
        first = service.stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest(spec=spec()))
        await first.read()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest(spec=spec())).read()
        await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec()))
        reply = await health_call(service.channel)(health_messages.HealthCheckRequest())
        first.cancel()
    error = told(raised.value)
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "OVERLOADED")
    assert int(str(error.trailers["grpc-retry-pushback-ms"])) >= 10
    assert reply.status == health_messages.SERVING


async def test_a_taken_address_is_refused_and_not_shared() -> None:
    async with running() as service:
        second = Listener(ListenerOptions(service.data.addresses), {}, service.calls)
        with pytest.raises(OSError, match="cannot listen on"):
            await second.start()
        await second.server.stop(None)


async def test_a_unix_socket_serves_its_user_alone(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/muxer.sock"
    async with running(options={"addresses": (address,)}) as service:
        await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec()))
        mode = stat.S_IMODE(os.stat(tmp_path / "muxer.sock").st_mode)
    assert mode == 0o600


async def test_the_catalogue_is_listed_page_by_page_on_the_admin_listener() -> None:
    async with running() as service:
        stub = catalogue_service_pb2_grpc.CatalogueServiceStub(service.admin_channel)
        names: list[str] = []
        token = ""
        while True:
            request = catalogue_service_pb2.ListModelsRequest(page_size=2, page_token=token)
            reply = await stub.ListModels(request)
            names += [each.name for each in reply.models]
            token = reply.next_page_token
            if not token:
                break
        providers = (await stub.ListProviders(catalogue_service_pb2.ListProvidersRequest())).providers
        one = (await stub.GetModel(catalogue_service_pb2.GetModelRequest(model="small"))).model
    assert names == sorted(names)
    assert len(names) == 5
    assert {p.name: p.configured for p in providers} == {"acme": True, "other": True, "absent": False}
    assert one.price.input_pico_usd_per_token == 100_000


@pytest.mark.parametrize("page", [{"page_size": -1}, {"page_token": "bm9wZQ=="}, {"page_token": "!"}])
async def test_a_wrong_page_is_an_invalid_request(page: dict[str, object]) -> None:
    async with running() as service:
        stub = catalogue_service_pb2_grpc.CatalogueServiceStub(service.admin_channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.ListModels(catalogue_service_pb2.ListModelsRequest(**page))  # type: ignore[arg-type]
    assert told(raised.value).reason == "INVALID_REQUEST"


async def test_an_unknown_model_of_the_catalogue_is_a_resource_not_found() -> None:
    async with running() as service:
        stub = catalogue_service_pb2_grpc.CatalogueServiceStub(service.admin_channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.GetModel(catalogue_service_pb2.GetModelRequest(model="nope"))
    assert told(raised.value).reason == "RESOURCE_NOT_FOUND"


async def test_the_data_listener_has_no_admin_service() -> None:
    async with running() as service:
        stub = catalogue_service_pb2_grpc.CatalogueServiceStub(service.channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.ListModels(catalogue_service_pb2.ListModelsRequest())
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
