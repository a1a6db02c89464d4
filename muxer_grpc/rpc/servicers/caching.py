"""CacheService: what the cache of answers did, and what it is to forget."""

from __future__ import annotations

from typing import Any

import grpc
from muxer.v1 import cache_service_pb2 as pb

from muxer_grpc.domain.administration import AuditNotes
from muxer_grpc.domain.caching import Invalidation
from muxer_grpc.domain.refusals import PreconditionFailed
from muxer_grpc.pipeline.response_cache import Answers
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import check_filter, check_tenant_id
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.tenant_access import Now, actor_of, tenants_meant
from muxer_grpc.rpc.violations import Violations

SERVICE = "muxer.v1.CacheService"

MAX_LABEL_KEY_CHARACTERS = 64
MAX_LABEL_VALUE_CHARACTERS = 256


class CacheServicer:
    """Serves the admin listener.

    Without `answers` there is no cache; without `notes` nobody keeps an audit log. `stays` says why this process alone
    cannot forget for all, empty where it can.
    """

    def __init__(
        self, answers: Answers | None, notes: AuditNotes | None, now: Now, *, instance_id: str = "", stays: str = ""
    ) -> None:
        self._answers = answers
        self._notes = notes
        self._now = now
        self._instance_id = instance_id
        self._stays = stays

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "InvalidateCache": calls.unary(pb.InvalidateCacheRequest, self.invalidate_cache),
            "GetCacheStats": calls.unary(pb.GetCacheStatsRequest, self.get_cache_stats),
        }

    async def invalidate_cache(
        self, request: pb.InvalidateCacheRequest, limit: TimeLimit
    ) -> pb.InvalidateCacheResponse:
        """Forgets answers, and says so in the audit log."""
        what = _read_request(request, tenants_meant(limit.principal, request.tenant_id))
        answers = self._answers
        if answers is None or self._stays:
            raise PreconditionFailed(self._stays or "there is no cache: set MUXER_CACHE__ENABLED=true")
        if self._notes is not None:
            await limit.wait(lambda: self._note(what, limit))
        return pb.InvalidateCacheResponse(answers=await limit.wait(lambda: answers.invalidate(what)))

    async def get_cache_stats(self, _request: pb.GetCacheStatsRequest, _limit: TimeLimit) -> pb.GetCacheStatsResponse:
        """Shows what the cache did."""
        if self._answers is None:
            return pb.GetCacheStatsResponse(stats=pb.CacheStats(instance_id=self._instance_id))
        figures = self._answers.figures()
        store = figures.store
        return pb.GetCacheStatsResponse(
            stats=pb.CacheStats(
                enabled=True,
                backend=store.backend,
                instance_id=self._instance_id,
                hits=figures.hits,
                shared_hits=figures.shared,
                misses=figures.misses,
                stored=store.stored,
                evicted=store.evicted,
                failures=store.failures,
                away=store.away,
                answers=store.answers,
                held_bytes=store.held_bytes,
                max_bytes=store.max_bytes,
                saved_nano_usd=figures.saved_nano_usd,
            )
        )

    async def _note(self, what: Invalidation, limit: TimeLimit) -> None:
        """Notes it before it is done: what is forgotten twice does no harm, and what nobody was told of would."""
        if self._notes is None:
            return
        told: dict[str, Any] = {"model": what.model} if what.model else {"everything": True}
        if what.label is not None:
            told = {"label": dict([what.label])}
        resource = "cache" if what.tenant_id is None else f"tenants/{what.tenant_id}/cache"
        actor = actor_of(limit.principal, self._now)
        await self._notes.note(actor, "InvalidateCache", resource, tenant_id=what.tenant_id or "", after=told)


def _read_request(request: pb.InvalidateCacheRequest, tenant_id: str | None) -> Invalidation:
    """Reads what is to be forgotten. Raises InvalidRequest with all violations."""
    violations = Violations()
    if tenant_id is not None:
        check_tenant_id(tenant_id, "tenant_id", violations)
    kind = request.WhichOneof("what")
    model, label = "", None
    if kind == "model":
        model = request.model
        full = all(model.partition("/"))
        violations.check(full, "model", "pattern", "give the full name of a model, as provider/model")
        check_filter(model, "model", violations)
    elif kind == "label":
        label = (request.label.key, request.label.value)
        fits = 0 < len(label[0]) <= MAX_LABEL_KEY_CHARACTERS
        violations.check(fits, "label.key", "length", f"give 1 to {MAX_LABEL_KEY_CHARACTERS} characters")
        fits = len(label[1]) <= MAX_LABEL_VALUE_CHARACTERS
        violations.check(fits, "label.value", "length", f"give up to {MAX_LABEL_VALUE_CHARACTERS} characters")
        for each, name in zip(label, ("key", "value"), strict=True):
            violations.check("\0" not in each, f"label.{name}", "characters", "give no NUL character")
    else:
        violations.check(request.everything, "what", "required", "give a model, a label, or everything as true")
    violations.raise_if_any()
    return Invalidation(tenant_id, model, label)
