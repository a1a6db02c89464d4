"""The providers under contract, each against a fake of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from muxer_grpc.domain.ports import Provider
from tests.contracts.cases import CASES, Case, opened
from tests.fakes.provider import FakeProvider, fake_provider


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(params=[False, True], ids=["unary", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def fake() -> AsyncGenerator[FakeProvider, None]:
    async with fake_provider() as running:
        yield running


@pytest.fixture
async def provider(case: Case, fake: FakeProvider) -> AsyncGenerator[Provider, None]:
    async with opened(case.name, fake.url) as running:
        yield running
