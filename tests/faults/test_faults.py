"""Every fault, shortened, unary and stream, through the client and over the wire: each is survived in full."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from muxer_client import AsyncMuxerClient

from tests.faults.ground import Ground, ground
from tests.faults.pace import SHORT
from tests.faults.playing import played
from tests.faults.table import ALL, Fault
from tests.faults.verdicts import Verdict

CASES = [pytest.param(fault, form, id=f"{fault.id} {fault.title}, {form}") for fault in ALL for form in fault.forms]


@pytest.fixture(scope="session")
def service() -> Iterator[Ground]:
    """Gives a running service, one for all faults: each has models and providers of its own."""
    with ground(SHORT) as running:
        yield running


@pytest.mark.parametrize(("fault", "form"), CASES)
async def test_a_fault_is_survived_in_full(service: Ground, fault: Fault, form: str) -> None:
    async with AsyncMuxerClient(service.target) as client:
        survived = await played(service, client, fault, form)
    assert survived.judged.verdict is Verdict.PASS, survived
