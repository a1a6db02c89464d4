"""The services that change how the service works while it runs, over a real server, called by people with keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from muxer.v1 import fleet_health_service_pb2 as health_pb
from muxer.v1 import fleet_health_service_pb2_grpc

from muxer_grpc.bootstrap_control import Control, control_of
from muxer_grpc.domain.classification.thresholds import Thresholds
from muxer_grpc.domain.figures import Figures
from muxer_grpc.domain.resilience.health import Health
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.pipeline.failover import Resilience
from muxer_grpc.rpc.listener import Servicer
from muxer_grpc.settings import Settings
from muxer_grpc.storage.database import Database
from tests.rpc.administered import Administered, Caller, administered
from tests.rpc.service import CATALOGUE, Clock


@dataclass
class Controlled:
    """The services, and what stands behind them."""

    world: Administered
    control: Control
    resilience: Resilience
    figures: Figures
    fleet: Fleet

    @property
    def root(self) -> Caller:
        return self.world.root

    @property
    def acme(self) -> Caller:
        return self.world.acme

    @property
    def health(self) -> Health:
        return self.resilience.health

    def watch(self, caller: Caller, timeout: float | None = None, **wanted: Any) -> Any:
        """Opens a stream of health."""
        stub = fleet_health_service_pb2_grpc.FleetHealthServiceStub(self.world.channel)
        request = health_pb.WatchHealthRequest(**wanted)
        return stub.WatchHealth(request, metadata=(("x-api-key", caller.key),), timeout=timeout)


def replica(database: Database | None, clock: Clock, settings: Settings | None = None) -> tuple[Any, ...]:
    """Builds what one process has: its control, resilience, figures and fleet."""
    fleet, resilience, figures = Fleet(CATALOGUE), Resilience(), Figures()
    control = control_of(settings or Settings(), fleet, resilience, figures, Thresholds(), database=database, now=clock)
    return control, resilience, figures, fleet


@asynccontextmanager
async def controlled(database: Database) -> AsyncGenerator[Controlled, None]:
    """Serves the services that control, beside those of administration."""
    made: list[Any] = []

    def services(clock: Clock) -> Mapping[str, Servicer]:
        made[:] = replica(database, clock)
        return dict(made[0].services("instance-1", clock))

    async with administered(database, more=services) as world:
        await made[0].feed.refresh()
        yield Controlled(world, *made)
