"""The one wrapper around every method: admission, identity, parsing, time limit, errors. Applied once, at registration.

Facts behind it: grpc.aio takes only an `async def` with `yield` for a streaming handler; `context.abort` works by
raising, so nothing may swallow what it raises; a CancelledError that is not the caller's would leave the caller
without a status until its deadline (grpc/grpc#29248).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from muxer_grpc.domain.errors import (
    InternalError,
    InvalidRequest,
    MethodNotFound,
    MuxerError,
    Overloaded,
    Reason,
    Violation,
)
from muxer_grpc.domain.load import LoadRules, Places, Priority
from muxer_grpc.domain.observing import CallEnd, CallObserver, CallTrace
from muxer_grpc.domain.refusals import PermissionDenied
from muxer_grpc.domain.tenancy import Principal, Role
from muxer_grpc.pipeline.loop_lag import LoopLag
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.enums import PRIORITY_OF
from muxer_grpc.rpc.gates import CLOSED, Gate, Guards
from muxer_grpc.rpc.idle_streams import IdleStreams
from muxer_grpc.rpc.status import CODES, status_of, trailers_of
from muxer_grpc.rpc.written import Written

_log = logging.getLogger(__name__)

Request = TypeVar("Request", bound=Message)

# Time kept back from the caller's deadline, so that the reply, with its account, arrives before it.
REPLY_RESERVE_SECONDS = 0.1
REPLY_RESERVE_SHARE = 0.1

OVERLOAD_RETRY_SECONDS = 0.25
# Whose call it is and what it is for is known behind the door only: so many more than have a place come in to say so.
DOOR_SHARE = 0.25
LEAST_AT_THE_DOOR = 16


Context = grpc.aio.ServicerContext[Any, Any]
if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
else:  # generic for checkers alone
    Handler = grpc.RpcMethodHandler


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How many calls one process works on at once, how long one may take (seconds), and when calls are shed before."""

    max_unary: int = 2_000
    max_streams: int = 1_000
    default_deadline_seconds: float = 300.0
    load: LoadRules = field(default_factory=LoadRules)


class Calls:
    """Knows the calls under way: admits new ones, and ends those that are left when the process drains.

    `lag` tells by how much the event loop is late; `observer` is told of every call but those of health checks.
    """

    def __init__(
        self,
        limits: CallLimits,
        new_id: Callable[[], str],
        guards: Guards | None = None,
        lag: LoopLag | None = None,
        observer: CallObserver | None = None,
    ) -> None:
        self._limits = limits
        self.observer = observer
        self.lag = lag or LoopLag()
        self.unary_places = Places(limits.max_unary, self._late, time.monotonic)
        self.stream_places = Places(limits.max_streams, self._late, time.monotonic)
        self.follow(limits.load)
        self._new_id = new_id
        self._guards = guards or Guards()
        self._unary: set[TimeLimit] = set()
        self._streams: set[TimeLimit] = set()
        self._exempt: set[TimeLimit] = set()
        self._watches: set[TimeLimit] = set()
        self.idle_streams = IdleStreams()
        # Counts the calls that were refused before work on them began, by kind.
        self.shed = Counter({"unary": 0, "stream": 0})

    @property
    def under_way(self) -> int:
        """Counts the calls under way."""
        return len(self._unary) + len(self._streams)

    @property
    def streams_under_way(self) -> int:
        """Counts the streams under way."""
        return len(self._streams)

    def follow(self, rules: LoadRules) -> None:
        """Takes other rules of shedding."""
        self.unary_places.follow(rules, rules.unary_lag_seconds)
        self.stream_places.follow(rules, rules.stream_lag_seconds)

    def _late(self) -> float:
        return self.lag.seconds

    def end_all(self, error: MuxerError) -> None:
        """Ends every call under way with an error; each still says what it used and what it cost."""
        for limit in (*self._unary, *self._streams):
            limit.end(error)

    def registered(self, service: str, handlers: dict[str, Handler]) -> dict[str, Handler]:
        """Opens the wrapped methods of a service, by name, to those who may call them; before, none is open.

        Raises TypeError for a method that is not wrapped, and so would be open to everybody.
        """
        for name, handler in handlers.items():
            method = f"/{service}/{name}"
            if not isinstance(handler, Wrapped):
                msg = f"{method} is not wrapped"
                raise TypeError(msg)
            handler.entrance.gate = self._guards.gate(method)
            handler.entrance.method = method[1:]
        return handlers

    def entrance(self, method: str, *, streams: bool) -> Entrance:
        """Gives how calls of a packaged service's method come in, by its full name."""
        entrance = self._entrance(streams=streams, exempt=False)
        entrance.gate, entrance.method = self._guards.gate(method), method[1:]
        return entrance

    def _entrance(self, *, streams: bool, exempt: bool, request_type: type[Message] | None = None) -> Entrance:
        if exempt and streams:
            # Nobody has to say who they are for these: without a bound, idle ones would take all that gRPC lets in.
            return Entrance(self._watches, self._limits.max_unary + self._limits.max_streams, observed=False)
        if exempt:
            return Entrance(self._exempt, sys.maxsize, observed=False)
        most = self._limits.max_streams if streams else self._limits.max_unary
        door = most + max(LEAST_AT_THE_DOOR, round(DOOR_SHARE * most))
        places = self.stream_places if streams else self.unary_places
        siblings, prioritized = self._streams if streams else self._unary, _has_priority(request_type)
        return Entrance(siblings, door, CLOSED, places, prioritized, streams=streams)

    def unary(self, request_type: type[Request], behaviour: Unary[Request], *, exempt: bool = False) -> Handler:
        """Wraps a method that answers once; an `exempt` one is admitted under any load."""
        parse = request_type.FromString
        entrance = self._entrance(streams=False, exempt=exempt, request_type=request_type)

        async def handle(request: bytes, context: Context) -> bytes:
            call = Call(self, context, entrance)
            async with call as limit:
                message = _parsed(parse, request)
                call.take_place(message)
                return (await behaviour(message, limit)).SerializeToString()
            raise AssertionError  # unreachable: leaving the block with an error aborts the call

        return Wrapped(entrance, unary_unary=handle)

    def server_stream(
        self, request_type: type[Request], behaviour: ServerStream[Request], *, exempt: bool = False
    ) -> Handler:
        """Wraps a method that answers with a stream; an `exempt` one is admitted under any load."""
        parse = request_type.FromString
        entrance = self._entrance(streams=True, exempt=exempt, request_type=request_type)

        async def handle(request: bytes, context: Context) -> AsyncGenerator[bytes, None]:
            call = Call(self, context, entrance)
            async with call as limit:
                message = _parsed(parse, request)
                call.take_place(message)
                async with aclosing(behaviour(message, limit)) as replies:
                    async for reply in replies:
                        yield reply.SerializeToString()

        return Wrapped(entrance, unary_stream=handle)

    def deadline_of(self, context: Context) -> float:
        """Gives the time by which work must end, in seconds of the event loop's clock."""
        remaining = context.time_remaining()
        longest = self._limits.default_deadline_seconds
        if remaining is None:
            remaining = longest
        else:
            remaining = min(remaining, longest)
            remaining -= min(REPLY_RESERVE_SECONDS, REPLY_RESERVE_SHARE * remaining)
        return asyncio.get_running_loop().time() + remaining

    def incident(self, error: BaseException) -> InternalError:
        """Logs a defect under a fresh incident id; the caller learns the id and nothing else."""
        incident_id = self._new_id()
        _log.error("incident %s: a call met a defect", incident_id, exc_info=error)
        return InternalError(incident_id)


@dataclass(slots=True)
class Entrance:
    """How calls of one method come in: beside which others, how many at once, past which gate, and to which places.

    `prioritized`: its requests say how much they matter. `method` is empty where nobody is told of the calls.
    """

    siblings: set[TimeLimit]
    most: int
    gate: Gate | None = CLOSED
    places: Places | None = None
    prioritized: bool = False
    method: str = ""
    observed: bool = True
    streams: bool = False


class Wrapped(Handler):
    """A wrapped method, as gRPC takes it; messages cross as bytes."""

    request_streaming = False
    request_deserializer = None
    response_serializer = None
    stream_unary = None
    stream_stream = None

    def __init__(self, entrance: Entrance, *, unary_unary: Any = None, unary_stream: Any = None) -> None:
        self.entrance = entrance
        self.response_streaming = unary_stream is not None
        self.unary_unary = unary_unary
        self.unary_stream = unary_stream


Unary = Callable[[Request, TimeLimit], Awaitable[Message | Written]]
ServerStream = Callable[[Request, TimeLimit], AsyncGenerator[Message | Written, None]]


class Call:
    """One call: an async context manager written out, since it stands on the hot path of every RPC."""

    __slots__ = ("_calls", "_context", "_entrance", "_limit", "_seated", "_trace")

    def __init__(self, calls: Calls, context: Context, entrance: Entrance) -> None:
        self._calls = calls
        self._context = context
        self._entrance = entrance
        self._limit: TimeLimit | None = None
        # The tenant for whom a place was taken.
        self._seated: str | None = None
        self._trace: CallTrace | None = None

    async def __aenter__(self) -> TimeLimit:
        entrance = self._entrance
        observer = self._calls.observer
        if observer is not None and entrance.observed:
            metadata: Any = self._context.invocation_metadata() or ()
            self._trace = observer.began(entrance.method, metadata)
        if len(entrance.siblings) >= entrance.most:
            error = Overloaded(
                "too many calls are under way",
                metadata={"cause": "calls"},
                retry_after_seconds=OVERLOAD_RETRY_SECONDS,
            )
            await self._refuse(error)
        limit = self._limit = TimeLimit(self._calls.deadline_of(self._context))
        limit.trace = self._trace
        entrance.siblings.add(limit)
        if entrance.gate is not None:
            try:
                await entrance.gate.admit(self._context, limit)
            except BaseException as error:
                await self.__aexit__(type(error), error, error.__traceback__)
                raise
        if self._trace is not None:
            self._trace.called_by(limit.principal)
        return limit

    def take_place(self, message: Any) -> None:
        """Takes a place among the calls under way, now that it is known whose it is and how much it matters.

        Raises Overloaded, PermissionDenied.
        """
        entrance = self._entrance
        places, limit = entrance.places, self._limit
        if places is None or limit is None:
            return
        principal = limit.principal
        if entrance.prioritized:
            # What is no priority at all is told with all else that is wrong with a request.
            priority = PRIORITY_OF.get(message.spec.priority, Priority.NORMAL)
            if priority is Priority.HIGH:
                _check_may_be_high(principal)
        else:
            # Whoever looks after the service must see and act most of all when it is under load.
            priority = Priority.HIGH if principal.everywhere else Priority.NORMAL
        tenant_id = principal.subject.tenant_id
        places.take(tenant_id, priority)
        self._seated = tenant_id

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._limit is not None:
            self._entrance.siblings.discard(self._limit)
            self._limit.close()
        if self._seated is not None and self._entrance.places is not None:
            self._entrance.places.give_back(self._seated)
            self._seated = None
        if error is None:
            self._end(OK)
        elif isinstance(error, MuxerError):
            await self._refuse(error)
        elif isinstance(error, asyncio.CancelledError) and not _is_stray():
            self._end(self._left())
        elif isinstance(error, Exception | asyncio.CancelledError) and not isinstance(error, grpc.aio.AbortError):
            await self._refuse(self._calls.incident(error), defect=True)
        else:
            self._end(self._left())

    def _left(self) -> CallEnd:
        """Tells how a call ended whose caller is gone: it left, or its deadline passed."""
        remaining = self._context.time_remaining()
        return TOO_LATE if remaining is not None and remaining <= 0 else LEFT

    async def _refuse(self, error: MuxerError, *, defect: bool = False) -> None:
        """Ends the call with the error's status. Raises AbortError, always."""
        if isinstance(error, Overloaded):
            self._calls.shed["stream" if self._entrance.streams else "unary"] += 1
        self._end(CallEnd(CODES[error.reason].name, error.reason.value, defect))
        await _abort(self._context, error)

    def _end(self, end: CallEnd) -> None:
        if self._trace is not None and self._calls.observer is not None:
            self._calls.observer.ended(self._trace, end)


OK = CallEnd("OK")
LEFT = CallEnd("CANCELLED", Reason.CANCELLED.value)
TOO_LATE = CallEnd("DEADLINE_EXCEEDED", Reason.DEADLINE_EXCEEDED.value)


def _is_stray() -> bool:
    """Tells whether a CancelledError is none of the caller's doing."""
    task = asyncio.current_task()
    return task is None or not task.cancelling()


def _has_priority(request_type: type[Message] | None) -> bool:
    """Tells whether requests of a type hold a CompletionSpec."""
    spec = None if request_type is None else request_type.DESCRIPTOR.fields_by_name.get("spec")
    return spec is not None and spec.message_type is not None and "priority" in spec.message_type.fields_by_name


def _check_may_be_high(principal: Principal) -> None:
    if principal.role is not Role.ADMIN and not principal.policy.allows_high_priority:
        msg = "spec.priority: only admins, and tenants whose policy allows it, may have PRIORITY_HIGH"
        raise PermissionDenied(msg)


async def _abort(context: Context, error: MuxerError) -> None:
    """Ends the call with the error's status. Raises AbortError, always."""
    status = status_of(error)
    trailers = trailers_of(error, status, context.time_remaining())
    await context.abort(CODES[error.reason], error.message, trailing_metadata=trailers)


def _parsed(parse: Callable[[bytes], Request], request: bytes) -> Request:
    """Parses a request. Raises InvalidRequest where gRPC itself would answer INTERNAL."""
    try:
        return parse(request)
    except DecodeError:
        violation = Violation("", "malformed", "the bytes are not a message of this method's request type")
        raise InvalidRequest([violation]) from None


class UnknownMethods(grpc.GenericRpcHandler):
    """Answers calls of methods that no service has. Must be registered last."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """Gives a handler that refuses, whatever the shape of the call."""
        method = str(handler_call_details.method)[:200]
        error = MethodNotFound(f"there is no method {method}", metadata={"method": method})

        async def refuse(_requests: object, context: Context) -> AsyncGenerator[bytes, None]:
            await _abort(context, error)
            yield b""  # makes this a streaming handler; never reached

        return grpc.stream_stream_rpc_method_handler(refuse)
