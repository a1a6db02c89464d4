"""ControlService: settings change for all replicas while they run, with a revision and a line in the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from google.protobuf import duration_pb2, field_mask_pb2
from muxer.v1 import control_service_pb2 as pb
from muxer.v1 import control_service_pb2_grpc, muxer_service_pb2, routing_pb2
from sqlalchemy import update as update_rows

from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.domain.runtime import PATHS
from muxer_grpc.settings import RoutingSettings, Settings
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import overrides
from tests.rpc.administered import START
from tests.rpc.controlled import Controlled, controlled, replica
from tests.rpc.service import Service, running, spec


@pytest.fixture
async def there(database: Database) -> AsyncGenerator[Controlled, None]:
    async with controlled(database) as served:
        yield served


def seconds(number: float) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=int(number), nanos=int(number % 1 * 1e9))


def update(*paths: str, revision: int = 0, **values: Any) -> pb.UpdateRuntimeSettingsRequest:
    mask = field_mask_pb2.FieldMask(paths=paths)
    return pb.UpdateRuntimeSettingsRequest(settings=pb.RuntimeSettings(**values), update_mask=mask, revision=revision)


async def shown(there: Controlled) -> pb.RuntimeSettingsStatus:
    return (await there.root(pb.GetRuntimeSettingsRequest())).status  # type: ignore[no-any-return]


EVERYTHING = pb.RuntimeSettings(
    default_strategy="hybrid",
    weights=routing_pb2.RoutingWeights(cost=1.0, quality=3.0),
    breaker=pb.BreakerRules(
        enabled=False,
        consecutive_failures=1,
        failure_share=0.9,
        least_calls=7,
        window=seconds(11),
        open_time=seconds(2.5),
        most_open_time=seconds(3),
    ),
    attempts=pb.AttemptRules(
        max_attempts=2,
        max_attempts_per_model=1,
        first_wait=seconds(0),
        most_wait=seconds(1),
        first_token_time=seconds(6),
        gap_time=seconds(7),
    ),
    retry_share=0.0,
    hedge_share=1.0,
)


async def test_without_an_override_what_is_configured_is_in_force(there: Controlled) -> None:
    status = await shown(there)
    assert status.settings == status.configured
    assert status.settings.default_strategy == "learned"
    assert status.settings.breaker.window == seconds(30)
    assert status.settings.attempts.first_wait == seconds(0.25)
    assert not status.settings.HasField("weights")
    assert (list(status.overridden.paths), status.revision, status.HasField("update_time")) == ([], 0, False)


async def test_every_setting_can_be_set_and_is_shown_beside_what_is_configured(there: Controlled) -> None:
    mask = field_mask_pb2.FieldMask(paths=["default_strategy", "weights", "breaker", "attempts", "retry_share"])
    mask.paths.append("hedge_share")
    status = (await there.root(pb.UpdateRuntimeSettingsRequest(settings=EVERYTHING, update_mask=mask))).status
    assert status.settings == EVERYTHING
    assert status.configured.default_strategy == "learned"
    assert sorted(status.overridden.paths) == sorted(PATHS)
    assert (status.revision, status.update_time.seconds) == (1, int(START))
    assert await shown(there) == status


async def test_attempts_and_breakers_follow_at_once(there: Controlled) -> None:
    breaker = pb.BreakerRules(consecutive_failures=1)
    attempts = pb.AttemptRules(max_attempts=2, gap_time=seconds(7))
    paths = ("breaker.consecutive_failures", "attempts.max_attempts", "attempts.gap_time", "retry_share")
    await there.root(update(*paths, breaker=breaker, attempts=attempts, retry_share=0.0))
    assert (there.resilience.rules.most_attempts, there.resilience.rules.gap_seconds) == (2, 7.0)
    assert there.resilience.rules.most_at_one_model == 2
    model = there.fleet.catalogue.models["acme/small"]
    there.health.failed(model, FailureClass.TRANSIENT, 0.0)
    assert there.health.of_models([model.name], 0.0)[0].state is BreakerState.OPEN


async def test_what_is_named_and_not_set_takes_the_configuration_s_value_again(there: Controlled) -> None:
    await there.root(update("default_strategy", "retry_share", default_strategy="cost", retry_share=0.5))
    status = (await there.root(update("default_strategy"))).status
    assert (status.settings.default_strategy, status.settings.retry_share) == ("learned", 0.5)
    assert list(status.overridden.paths) == ["retry_share"]
    assert status.revision == 2


async def test_a_change_on_another_revision_is_refused(there: Controlled) -> None:
    await there.root(update("retry_share", retry_share=0.5))
    error = await there.root.refused(update("retry_share", retry_share=0.6, revision=7), "REVISION_CONFLICT")
    assert error.metadata["revision"] == "1"
    await there.root(update("retry_share", retry_share=0.6, revision=1))
    assert (await shown(there)).settings.retry_share == 0.6


BREAKER, ATTEMPTS = pb.BreakerRules, pb.AttemptRules


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (update(retry_share=0.5), "update_mask"),
        (update("colour"), "update_mask.paths[0]"),
        (update("breaker.colour"), "update_mask.paths[0]"),
        (update("default_strategy", default_strategy="luck"), "settings.default_strategy"),
        (update("default_strategy", default_strategy=""), "settings.default_strategy"),
        (update("weights", weights=routing_pb2.RoutingWeights()), "settings.weights"),
        (update("weights", weights=routing_pb2.RoutingWeights(cost=-1.0)), "settings.weights.cost"),
        (update("retry_share", retry_share=1.5), "settings.retry_share"),
        (update("retry_share", retry_share=float("nan")), "settings.retry_share"),
        (update("breaker", breaker=BREAKER(consecutive_failures=0)), "settings.breaker.consecutive_failures"),
        (update("breaker", breaker=BREAKER(open_time=seconds(0))), "settings.breaker.open_time"),
        (update("breaker", breaker=BREAKER(window=duration_pb2.Duration(nanos=-5))), "settings.breaker.window"),
        (update("breaker", breaker=BREAKER(open_time=seconds(30))), "settings.breaker.most_open_time"),
        (update("attempts", attempts=ATTEMPTS(max_attempts=11)), "settings.attempts.max_attempts"),
        (update("attempts", attempts=ATTEMPTS(gap_time=seconds(3_601))), "settings.attempts.gap_time"),
        (update("retry_share", revision=-1, retry_share=0.1), "revision"),
    ],
)
async def test_what_cannot_be_set_is_refused_by_field_and_nothing_changes(
    there: Controlled, request_: pb.UpdateRuntimeSettingsRequest, field: str
) -> None:
    error = await there.root.refused(request_, "INVALID_REQUEST")
    assert list(error.fields) == [field]
    assert (await shown(there)).revision == 0


async def test_an_admin_of_one_tenant_may_look_and_not_change(there: Controlled) -> None:
    await there.acme.refused(update("retry_share", retry_share=0.5), "PERMISSION_DENIED")
    assert (await there.acme(pb.GetRuntimeSettingsRequest())).status.revision == 0


async def test_each_change_is_in_the_audit_log(there: Controlled) -> None:
    await there.root(update("retry_share", "breaker.open_time", retry_share=0.5, breaker=BREAKER(open_time=seconds(2))))
    await there.root(update("retry_share"))
    whole = {"retry_share": 0.5, "breaker.open_time": 2.0}
    found = [each for each in await there.root.audited() if each[1] == "UpdateRuntimeSettings"]
    assert found == [
        (there.root.name, "UpdateRuntimeSettings", "runtime", {}, whole),
        (there.root.name, "UpdateRuntimeSettings", "runtime", whole, {"breaker.open_time": 2.0}),
    ]


async def test_another_replica_follows_and_so_does_one_that_starts_later(there: Controlled) -> None:
    configured = Settings(routing=RoutingSettings(default_strategy="performance"))
    control, _, _, _ = replica(there.world.database, there.world.clock, configured)
    await control.feed.refresh()
    assert control.runtime.in_force.default_strategy == "performance"
    await there.root(update("default_strategy", "retry_share", default_strategy="cost", retry_share=0.1))
    watch = asyncio.create_task(control.feed.watch())
    while control.runtime.in_force.default_strategy != "cost":
        await asyncio.sleep(0.01)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    late, _, _, _ = replica(there.world.database, there.world.clock, configured)
    await late.feed.refresh()
    assert (late.runtime.in_force.default_strategy, late.runtime.in_force.retry_share) == ("cost", 0.1)
    assert late.runtime.configured.default_strategy == "performance"


async def test_what_a_later_version_has_set_is_not_overwritten_by_one_that_cannot_read_it(there: Controlled) -> None:
    await there.root(update("retry_share", retry_share=0.5))
    async with there.world.database.change() as connection:
        await connection.execute(update_rows(overrides).values(value={"retry_share": 0.5, "mood": "good"}, revision=2))
    error = await there.root.refused(update("retry_share", retry_share=0.6), "PRECONDITION_FAILED")
    assert "another version" in error.message


async def chosen(service: Service, **changes: Any) -> routing_pb2.RouteDecision:
    return (await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec(**changes)))).decision


async def set_(service: Service, *paths: str, **values: Any) -> None:
    stub: Any = control_service_pb2_grpc.ControlServiceStub(service.admin_channel)
    await stub.UpdateRuntimeSettings(update(*paths, **values))


async def test_decisions_follow_the_strategy_and_the_weights_without_a_restart() -> None:
    async with running() as service:
        before = await chosen(service)
        await set_(service, "default_strategy", default_strategy="cost")
        by_cost = await chosen(service)
        assert (before.strategy, by_cost.strategy, by_cost.selected_model) == ("learned", "cost", "acme/small")
        await set_(service, "default_strategy", "weights", weights=routing_pb2.RoutingWeights(quality=1.0))
        by_quality = await chosen(service)
        assert (by_quality.strategy, by_quality.selected_model) == ("learned", "acme/large")
        # The versions tell that it was another policy.
        assert by_quality.policy_version != before.policy_version
        own = await chosen(service, routing={"weights": {"cost": 1.0}})
        assert own.selected_model == "acme/small"
        await set_(service, "weights")
        assert (await chosen(service)).policy_version == before.policy_version
