"""A decision is written for its history while its provider is waited for, and once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from muxer_grpc.domain.completion import ProviderEvent, ProviderRequest
from muxer_grpc.domain.decision import Decision
from muxer_grpc.rpc.documents import WireDocuments
from tests.rpc.accounting import accounting, complete
from tests.rpc.service import PLAIN, spec
from tests.services import shared
from tests.services.server import Session


async def test_a_decision_is_written_while_its_provider_is_waited_for(
    services: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    write = WireDocuments.decision

    def noted(documents: WireDocuments, decision: Decision) -> bytes:
        steps.append("written")
        return write(documents, decision)

    async def script(_request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        steps.append("called")
        await asyncio.sleep(0.2)
        steps.append("answers")
        for event in PLAIN:
            yield event

    monkeypatch.setattr(WireDocuments, "decision", noted)
    async with accounting(shared.migrated_sqlite(services, tmp_path / "muxer.db"), script) as service:
        await complete(service, spec())
    assert steps == ["called", "written", "answers"]
