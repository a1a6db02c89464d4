"""What only a start can tell of the settings is told in a line by every kind of service, and nothing serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.running import muxer
from tests.services.server import free_port


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_judge_that_cannot_be_called_ends_the_start_without_a_traceback(tmp_path: Path, workers: str) -> None:
    environment = {
        "MUXER_SERVER__LISTEN": f"127.0.0.1:{free_port()}",
        "MUXER_SERVER__ADMIN_LISTEN": "",
        "MUXER_CLASSIFIER__JUDGE__MODEL": "sandbox/none-such",
    }
    with pytest.raises(AssertionError) as raised:
        async with muxer(tmp_path, "--workers", workers, **environment):
            pass
    assert "classifier.judge.model: sandbox/none-such is not a model that can be called" in str(raised.value)
    assert "Traceback" not in str(raised.value)
