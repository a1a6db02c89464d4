"""Probes: a list of models is a sign of life that costs nothing."""

from __future__ import annotations

import time

import orjson

from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.ports import ProbeResult
from muxer_grpc.providers.failures import failure_of
from muxer_grpc.providers.http import HttpTransport


async def probe_models(transport: HttpTransport, path: str, list_field: str, name_field: str) -> ProbeResult:
    """Asks for the list of models and reads their names. Tells a failure in the result, and raises none."""
    began = time.perf_counter()
    try:
        async with transport.get(path) as reply:
            if reply.status != 200:
                raise failure_of(reply.status, await reply.read_error(), reply.headers, time.time())
            listed = orjson.loads(await reply.read())
        names = tuple(str(item[name_field]) for item in listed[list_field])
    except ProviderFailure as failure:
        return ProbeResult(False, time.perf_counter() - began, failure_class=failure.failure_class)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ProbeResult(False, time.perf_counter() - began, failure_class=FailureClass.PROTOCOL)
    return ProbeResult(True, time.perf_counter() - began, names)
