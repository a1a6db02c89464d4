"""What tests of admin services ask for."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from muxer_grpc.storage.database import Database
from tests.rpc.administered import Administered, administered
from tests.rpc.reported import Reported, reported


@pytest.fixture
async def world(database: Database) -> AsyncGenerator[Administered, None]:
    """Gives the admin services over a database of each kind in turn, and people who call them."""
    async with administered(database) as served:
        yield served


@pytest.fixture
async def reports(database: Database) -> AsyncGenerator[Reported, None]:
    """Gives the services that report and lease over a database of each kind in turn, and people who call them."""
    async with reported(database) as served:
        yield served
