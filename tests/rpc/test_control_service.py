"""ControlService: settings change for all replicas while they run, with a revision and a line in the audit log."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from google.protobuf import duration_pb2, field_mask_pb2
from muxer.v1 import control_service_pb2 as pb
from muxer.v1 import routing_pb2

from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.runtime import PATHS
from muxer_grpc.settings import RoutingSettings, Settings
from muxer_grpc.storage.database import Database
from tests.rpc.administered import START, SECOND
from tests.rpc.controlled import Controlled, controlled, replica
from tests.rpc.service import Service, running, spec
from muxer.v1 import control_service_pb2_grpc, muxer_service_pb2


@pytest.fixture
async def there(database: Database) -> AsyncGenerator[Controlled, None]:
    async with controlled(database) as served:
        yield served


def seconds(number: float) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=int(number), nanos=int(number % 1 * 1e9))


def update(*paths: str, revision: int = 0, **values: Any) -> pb.UpdateRuntimeSettingsRequest:
    mask = field_mask_pb2.FieldMask(paths=paths)
    return pb.UpdateRuntimeSettingsRequest(
        settings=pb.RuntimeSettings(**values), update_mask=mask, revision=revision
    )


async def shown(there: Controlled) -> pb.RuntimeSettingsStatus:
    return (await there.root(pb.GetRuntimeSettingsRequest())).status


async def test_without_an_override_what_is_configured_is_in_force(there: Controlled) -> None:
    status = await shown(there)
    assert status.settings == status.configured
    assert status.settings.default_strategy == "learned"
    assert status.settings.breaker == pb.BreakerRules(
        enabled=True,
        consecutive_failures=3,
        failure_share=0.5,
        least_calls=10,
        window=seconds(30),
        open_time=seconds(5),
        most_open_time=seconds(20),
    )
    assert status.settings.attempts.max_attempts == 4
    assert status.settings.attempts.first_wait == seconds(0.25)
    assert not status.settings.HasField("weights")
    assert (list(status.overridden.paths), status.revision, status.HasField("update_time")) == ([], 0, False)


async def test_every_setting_can_be_set_and_is_in_force_at_once(there: Controlled) -> None:
    settings = pb.RuntimeSettings(
        default_strategy="hybrid",
        weights=routing_pb2.RoutingWeights(cost=1.0, quality=3.0),
        breaker=pb.BreakerRules(
            enabled=True,
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
    mask = field_mask_pb2.FieldMask(paths=PATHS)
    status = (await there.root(pb.UpdateRuntimeSettingsRequest(settings=settings, update_mask=mask))).status
    assert status.settings == settings
    assert status.configured.default_strategy == "learned"
    assert sorted(status.overridden.paths) == sorted(PATHS)
    assert status.revision == 1
    assert status.update_time.seconds == int(START)
    resilience = there.resilience
    assert (resilience.rules.most_attempts, resilience.rules.gap_seconds) == (2, 7.0)
    assert there.fleet.router.catalogue is there.fleet.catalogue
    model = there.fleet.catalogue.models["acme/small"]
    resilience.health.failed(model, next(iter(__import__("muxer_grpc.domain.errors", fromlist=["x"]).FailureClass)), 0.0)
