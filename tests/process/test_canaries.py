"""Secrets and prompts are nowhere but where they belong: not in logs, errors, spans, metrics, or the database."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import grpc.aio
import jwt
import pytest
from muxer.v1 import chat_pb2, muxer_service_pb2, muxer_service_pb2_grpc

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.directory import ApiKey, Tenant, User
from muxer_grpc.domain.tenancy import Role
from muxer_grpc.identity.api_keys import ApiKeys
from muxer_grpc.storage import schema
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.keys import KeyTable
from muxer_grpc.storage.tenants import TenantTable
from muxer_grpc.storage.users import DefaultBudgets, UserTable
from tests.fakes.answers import Answer
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider, fake_provider
from tests.process.callers import connected
from tests.process.replicas import replica, variables
from tests.rpc.service import spec
from tests.storage.reckoning import rows_of
from tests.telemetry.receiver import receiver

PROVIDER_KEY = "sk-canary-PROVIDER-9f3b2c71d8e64a05"
PEPPER = "canary-PEPPER-71c2be0d94f84e7f9a35"
TOKEN_SECRET = "canary-TOKENSECRET-5be1f0c2a4d94c3b"
PASSWORD = "canary-PASSWORD-0a9b8c7d6e5f"
PROMPT = "canary PROMPT of my grandmother's diagnosis 4711"
SYSTEM = "canary SYSTEM instruction nobody may see"
RESULT = "canary TOOLRESULT and a salary"
ANSWER = "canary ANSWER that only its caller may read"
CLAIM = "canary-CLAIM-of-a-token"
WRONG_KEY = "mux_abcdefghijkl_canaryWRONGKEYcanaryWRONGKEYcanaryWRONG"

# A provider that tells everybody what it was told.
ECHO = f"you sent Authorization: Bearer {PROVIDER_KEY} and said {PROMPT} after {SYSTEM}"
ERROR = json.dumps({"error": {"message": ECHO, "type": PROVIDER_KEY, "code": PROVIDER_KEY, "param": PROMPT}}).encode()


def _odd(**fields: object) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    return json.dumps({"id": ECHO, "model": "m", "choices": [choice], **fields}).encode()


def _events(*pieces: bytes) -> bytes:
    return b"".join(b"data: " + piece + b"\n\n" for piece in pieces)


HOSTILE: tuple[Play, ...] = (
    *(Play(status=status, body=ERROR) for status in (400, 401, 403, 404, 409, 422, 429, 500, 503)),
    Play(status=400, body=json.dumps({"error": ECHO}).encode()),
    Play(status=502, body=f"<html>{ECHO}</html>".encode(), content_type="text/html"),
    Play(status=302, body=b"", headers=(("location", f"http://127.0.0.1:9/{PROVIDER_KEY}"),)),
    Play(status=429, body=ERROR, headers=(("retry-after", PROVIDER_KEY), ("x-request-id", PROVIDER_KEY))),
    Play(status=200, body=ERROR),
    Play(status=200, body=ECHO.encode()),
    Play(status=200, body=_odd(choices=ECHO)),
    Play(status=200, body=_odd(choices=[ECHO])),
    Play(status=200, body=_odd(choices=[{"message": ECHO, "finish_reason": "stop"}])),
    Play(status=200, body=_odd(choices=[{"message": {"content": {"x": ECHO}}, "finish_reason": "stop"}])),
    Play(status=200, body=_odd(choices=[{"message": {"tool_calls": ECHO}, "finish_reason": "tool_calls"}])),
    Play(status=200, body=_odd(usage=ECHO)),
    Play(status=200, body=_odd(usage={"prompt_tokens": ECHO, "completion_tokens": [ECHO]})),
    Play(body=_events(ERROR), content_type="text/event-stream"),
    Play(body=_events(_odd(object="chat.completion.chunk"), ECHO.encode()), content_type="text/event-stream"),
    Play(body=_events(json.dumps({"choices": [{"delta": ECHO}]}).encode()), content_type="text/event-stream"),
    Play(body=_events(json.dumps({"choices": [{"delta": {"tool_calls": [ECHO]}}]}).encode())),
)


def canaries(texts: Iterable[str]) -> dict[str, list[bytes]]:
    """Gives, for each secret, the bytes by which it would be found."""
    return {text: [text.encode(), b64encode(text.encode())[:-4], text.encode().hex().encode()] for text in texts}


def found_in(hay: bytes, secrets: Mapping[str, list[bytes]]) -> list[str]:
    return [name for name, needles in secrets.items() if any(needle in hay for needle in needles)]


async def people(database: Database) -> str:
    """Makes a tenant and a user with a key; gives the key."""
    actor = Actor("test", int(time.time() * 1_000_000))
    await TenantTable(database).create(Tenant("acme"), actor)
    await UserTable(database, DefaultBudgets(), lambda: "unused").create(User("acme", "ann", Role.ADMIN), actor)
    made = ApiKeys(PEPPER.encode()).make()
    key = ApiKey(made.id, "acme", "ann", Role.ADMIN, made.prefix, made.digest)
    await KeyTable(database, lambda: "unused").create(key, actor)
    return made.text


def asked(model: str, **changes: object) -> chat_pb2.CompletionSpec:
    told = spec(PROMPT, requested_model=f"fake/{model}", max_output_tokens=50, **changes)
    told.messages.insert(0, chat_pb2.Message(role=chat_pb2.ROLE_SYSTEM, parts=[chat_pb2.ContentPart(text=SYSTEM)]))
    call = chat_pb2.ToolCall(id="call_1", name="look", arguments_json='{"who": "me"}')
    result = chat_pb2.ToolResult(tool_call_id="call_1", content=RESULT)
    told.messages.add(role=chat_pb2.ROLE_ASSISTANT, parts=[chat_pb2.ContentPart(tool_call=call)])
    told.messages.add(role=chat_pb2.ROLE_TOOL, parts=[chat_pb2.ContentPart(tool_result=result)])
    return told


async def all_that_is_told(
    stub: muxer_service_pb2_grpc.MuxerServiceStub, told: chat_pb2.CompletionSpec, proof: tuple[str, str], stream: bool
) -> bytes:
    """Makes a call; gives the bytes of its error, or of its summary."""
    try:
        if not stream:
            reply = await stub.Complete(muxer_service_pb2.CompleteRequest(spec=told), metadata=(proof,), timeout=20)
            return reply.summary.SerializeToString() + reply.decision.SerializeToString()
        events = b""
        request = muxer_service_pb2.StreamCompleteRequest(spec=told)
        async for event in stub.StreamComplete(request, metadata=(proof,), timeout=20):
            if event.WhichOneof("event") in ("decision", "attempt_switched", "summary"):
                events += event.SerializeToString()
    except grpc.aio.AioRpcError as error:
        trailers = [
            value if isinstance(value, bytes) else str(value).encode() for _, value in error.trailing_metadata()
        ]
        return b"\n".join([str(error).encode(), (error.details() or "").encode(), *trailers])
    return events


def with_password(url: str) -> str:
    """Gives the URL with a password, which the tests' PostgreSQL does not ask for."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{PASSWORD}@{parts.hostname}:{parts.port}"))


@pytest.mark.slow
async def test_no_secret_and_no_prompt_is_anywhere_but_where_it_belongs(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    key = await people(database)
    now = int(time.time())
    claims = {"sub": "ann", "tenant": "acme", "note": CLAIM, "iat": now, "exp": now + 600}
    token = jwt.encode(claims, TOKEN_SECRET.encode(), "HS256")
    forged = jwt.encode(claims, b"x" * 32, "HS256")
    proofs = [("x-api-key", key), ("authorization", f"Bearer {token}")]
    wrong = [("x-api-key", WRONG_KEY), ("x-api-key", key[:-1]), ("authorization", f"Bearer {forged}")]
    told: list[bytes] = []
    async with fake_provider() as provider, receiver() as collector:
        models = ["good", *play_all(provider)]
        url = database_url if database.is_sqlite else with_password(database_url)
        sent = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_METRIC_EXPORT_INTERVAL": "200"}
        settings = variables(url, f"{provider.url}/v1", *models, MUXER_LOG__LEVEL="debug", **SECRETS, **sent)
        async with replica(tmp_path / "replica", **settings) as running, connected(running.target) as stub:
            for stream in (False, True):
                for number, model in enumerate(models):
                    told.append(await all_that_is_told(stub, asked(model), proofs[number % 2], stream))
                again = asked("good", request_id=f"r-{stream}")
                told += [await all_that_is_told(stub, again, proofs[0], stream) for _ in range(2)]
                told += [await all_that_is_told(stub, asked("good"), proof, stream) for proof in wrong]
                bad = asked("good", response_format=chat_pb2.ResponseFormat(json_schema=odd_schema()))
                told.append(await all_that_is_told(stub, bad, proofs[0], stream))
            request = muxer_service_pb2.RouteRequest(spec=asked("good"))
            told.append((await stub.Route(request, metadata=(proofs[0],))).SerializeToString())
            files = {file.name: file.read_bytes() for file in tmp_path.glob("muxer.db*")}
            assert await running.stopped() == 0
            log = running.log.read_bytes()
        assert provider.received[-1].headers["authorization"] == f"Bearer {PROVIDER_KEY}"
        assert any(PROMPT.encode() in got.raw for got in provider.received)
    secrets = canaries(
        [
            *(PROVIDER_KEY, PEPPER, TOKEN_SECRET, PASSWORD, PROMPT, SYSTEM, RESULT, ANSWER, CLAIM, WRONG_KEY),
            *(key, key[-20:], token, token.rpartition(".")[2], forged, "grandmother", "TOOLRESULT"),
        ]
    )
    assert b'"level":"debug"' in log
    assert {"log": found_in(log, secrets)} == {"log": []}
    # As many calls as were made have their spans, and none of them tells a secret.
    assert len([span for span in collector.spans if span.name.startswith("muxer.v1.")]) == len(told)
    assert {"telemetry": found_in(b"".join(collector.bodies), secrets)} == {"telemetry": []}
    for number, each in enumerate(told):
        assert (number, found_in(each, secrets)) == (number, []), each
    assert len(rows_of(database, schema.ledger_entries)) > len(models)
    for table in schema.metadata.sorted_tables:
        dump = b"\n".join(text for row in rows_of(database, table) for text in map(as_bytes, row.values()))
        assert (table.name, found_in(dump, secrets)) == (table.name, [])
    if database.is_sqlite:
        assert len(files["muxer.db-wal"]) > 10_000
    for name, content in files.items():
        assert (name, found_in(content, secrets)) == (name, [])


SECRETS = {
    "MUXER_PROVIDERS__FAKE__API_KEY": PROVIDER_KEY,
    "MUXER_IDENTITY__MODES": "keys,jwt",
    "MUXER_IDENTITY__PEPPER": PEPPER,
    "MUXER_IDENTITY__JWT__SECRET": TOKEN_SECRET,
}


def play_all(provider: FakeProvider) -> list[str]:
    """Gives a model to each hostile play, and a good answer to the good one."""
    provider.script("good", Play(answer=Answer(tokens=(ANSWER,))))
    for number, play in enumerate(HOSTILE):
        provider.script(f"hostile-{number}", play)
    return [f"hostile-{number}" for number in range(len(HOSTILE))]


def odd_schema() -> chat_pb2.JsonSchemaFormat:
    return chat_pb2.JsonSchemaFormat(name="n", schema_json=json.dumps({"type": PROMPT}))


def as_bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
