"""Answers in a Redis that all processes share; Redis itself bounds what they take (maxmemory) and ends their times.

What is written there, by name (`muxer:cache:1:` before each; the number changes with the form of what is written):

- `answer:TENANT:DIGEST` holds an answer, sealed: an answer may be as secret as its prompt, and Redis alone must not
  tell it. The key is made from the request and from the installation's pepper, and is kept nowhere; only who asks the
  same again can open it. The digest is made with the pepper too, where there is one. What Redis does tell: which
  tenants use the cache, when, how much, and which models and how many labels had answers forgotten.
- `tenant:TENANT` and `all` are hashes: `era`, a random word, and for each model and label whose answers were forgotten
  how often that was. An answer holds what stood there when it was asked for, and is good only while the same stands
  there. So answers are forgotten in one step, those on their way too; a hash that Redis lost takes its answers along.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from muxer_grpc.cache.redis_line import Command, LineDown, RedisLine
from muxer_grpc.domain.caching import CachedAnswer, CacheKey, Found, Invalidation, StoreFigures
from muxer_grpc.domain.ports import Sealer
from muxer_grpc.domain.refusals import StorageUnavailable

PREFIX = "muxer:cache:1"
ALL = f"{PREFIX}:all"
ERA = b"era"
ERA_BYTES = 12
MAX_TTL_SECONDS = 30 * 86_400
# Hashes outlive the last of their answers.
HASH_MS = (MAX_TTL_SECONDS + 86_400) * 1_000
# A hash with more than this many fields is read for too long: then all that it is about is forgotten instead.
MOST_FIELDS = 1_000

_State = Mapping[bytes, bytes]


class _Mark(NamedTuple):
    """What stood in the hashes when an answer was asked for."""

    tenant: _State
    everybody: _State


class RedisCache:
    """Implements the port ResponseCache over a line that it closes; the sealer seals what is written."""

    def __init__(self, line: RedisLine, sealer: Sealer) -> None:
        self._line = line
        self._sealer = sealer
        self._stored = self._failures = 0

    async def get(self, key: CacheKey) -> Found:
        """Looks an answer up."""
        try:
            replies = await self._line.send(
                ("GET", self._name(key)), ("HGETALL", _hash_of(key.tenant_id)), ("HGETALL", ALL)
            )
            if any(isinstance(reply, Exception) for reply in replies):
                raise LineDown
            content, tenant, everybody = replies
            if ERA not in tenant or ERA not in everybody:
                return Found(None, await self._begin(key.tenant_id))
        except LineDown:
            self._failures += 1
            return Found(None, None)
        mark = _Mark(tenant, everybody)
        return Found(None if content is None else self._read(content, key, mark), mark)

    async def put(self, key: CacheKey, answer: CachedAnswer, mark: object, ttl_seconds: float) -> None:
        """Keeps an answer."""
        if not isinstance(mark, _Mark):
            return
        sealed = self._sealer.seal(_written(answer, mark), key.sealing_key)
        ttl_ms = max(1, int(min(ttl_seconds, MAX_TTL_SECONDS) * 1_000))
        hashes = (_hash_of(key.tenant_id), ALL)
        try:
            replies = await self._line.send(("SET", self._name(key), sealed, "PX", ttl_ms), *map(_lasting, hashes))
        except LineDown:
            replies = [LineDown()]
        if isinstance(replies[0], Exception):
            self._failures += 1
        else:
            self._stored += 1

    async def invalidate(self, what: Invalidation) -> None:
        """Forgets answers. How many they are, nobody counts."""
        name = ALL if what.tenant_id is None else _hash_of(what.tenant_id)
        fields = [_model_field(what.model)] if what.model else []
        if what.label is not None:
            fields.append(_label_field(what.label))
        try:
            if len(fields) == 1:
                replies = await self._line.send(("HINCRBY", name, fields[0], 1), _lasting(name), ("HLEN", name))
            if len(fields) != 1 or (not isinstance(replies[2], Exception) and replies[2] > MOST_FIELDS):
                # Those of a model and with a label at once are not told apart: more is forgotten then, never less.
                replies = await self._line.send(("DEL", name))
            if isinstance(replies[0], Exception):
                raise LineDown
        except LineDown:
            self._failures += 1
            msg = "the cache of answers cannot be reached now"
            raise StorageUnavailable(msg) from None

    def figures(self) -> StoreFigures:
        """Tells what it did."""
        return StoreFigures(backend="redis", stored=self._stored, failures=self._failures, away=self._line.down)

    async def aclose(self) -> None:
        """Closes the line."""
        await self._line.aclose()

    async def _begin(self, tenant_id: str) -> _Mark | None:
        """Begins eras where there are none; gives what stands there then, where it does."""
        names = (_hash_of(tenant_id), ALL)
        commands: list[Command] = []
        for name in names:
            commands += [("HSETNX", name, ERA, os.urandom(ERA_BYTES).hex()), _lasting(name)]
        replies = await self._line.send(*commands, *(("HGETALL", name) for name in names))
        tenant, everybody = replies[-2:]
        if isinstance(tenant, Exception) or isinstance(everybody, Exception):
            raise LineDown
        return _Mark(tenant, everybody) if ERA in tenant and ERA in everybody else None

    def _name(self, key: CacheKey) -> str:
        return f"{PREFIX}:answer:{key.tenant_id}:{self._sealer.digest(key.digest).hex()}"

    def _read(self, content: bytes, key: CacheKey, now: _Mark) -> CachedAnswer | None:
        """Reads an answer; None where it is none of this request's, or has been forgotten."""
        opened = self._sealer.open(content, key.sealing_key)
        if opened is None:
            return None
        head, _, document = opened.partition(b"\n")
        told: dict[str, Any] = json.loads(head)
        labels = tuple((name, value) for name, value in told["labels"])
        # An earlier version wrote neither.
        kind, strategy = told.get("intent", ""), told.get("strategy", "")
        answer = CachedAnswer(document, told["model"], labels, told["saved"], told["created"], kind, strategy)
        stood = (told["tenant"], told["all"])
        return answer if stood == (_standing(answer, now.tenant), _standing(answer, now.everybody)) else None


def _written(answer: CachedAnswer, mark: _Mark) -> bytes:
    head = {
        "model": answer.model,
        "labels": answer.labels,
        "saved": answer.saved_nano_usd,
        "created": answer.created_at,
        "intent": answer.intent,
        "strategy": answer.strategy,
        "tenant": _standing(answer, mark.tenant),
        "all": _standing(answer, mark.everybody),
    }
    # JSON writes line breaks in strings as escapes, so that the first one ends it.
    return json.dumps(head).encode() + b"\n" + answer.document


def _standing(answer: CachedAnswer, state: _State) -> list[str]:
    """Gives what a hash says of an answer: the era, and how often its model and its labels were forgotten."""
    if len(state) == 1:
        return [state[ERA].decode()]
    fields: Iterable[str] = (_model_field(answer.model), *map(_label_field, answer.labels))
    counts = ((field, state.get(field.encode())) for field in fields)
    return [state[ERA].decode(), *(f"{field}={count.decode()}" for field, count in counts if count is not None)]


def _hash_of(tenant_id: str) -> str:
    return f"{PREFIX}:tenant:{tenant_id}"


def _lasting(name: str) -> Command:
    return ("PEXPIRE", name, HASH_MS)


def _model_field(model: str) -> str:
    return f"model:{model}"


def _label_field(label: tuple[str, str]) -> str:
    # What labels say is no business of whoever looks into Redis.
    return "label:" + hashlib.blake2b(json.dumps(label).encode(), digest_size=16).hexdigest()
