"""The mode at the command line: check-config shows it, production is refused, and rules alone serve."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from muxer.v1 import completion_pb2, routing_pb2
from muxer_client import AsyncMuxerClient

from muxer_grpc.cli.app import run
from tests.process.running import muxer

REFUSAL = "muxer: mode production needs what is not configured: authentication, PostgreSQL, Redis\n"


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the machine's own files, keys and settings out."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("MUXER_") or name.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variables", "lines"),
    [
        (
            {},
            [
                "mode enhanced: the learned classifier decides; state in memory",
                "  classifier.enabled = true (the mode)",
            ],
        ),
        (
            {"MUXER_MODE": "basic"},
            ["mode basic: rules classify; state in memory", "  classifier.enabled = false (the mode)"],
        ),
        (
            {"MUXER_MODE": "basic", "MUXER_CLASSIFIER__ENABLED": "true"},
            [
                "mode basic: rules classify; state in memory",
                "  classifier.enabled = true, as set (the mode has false)",
            ],
        ),
    ],
)
def test_check_config_prints_the_mode_and_what_it_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], lines: list[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run(["check-config"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == lines


def test_check_config_tells_the_mode_as_json_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUXER_CLASSIFIER__ENABLED", "false")
    assert run(["check-config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mode"] == {
        "name": "enhanced",
        "summary": "the learned classifier decides; state in memory",
        "settings": [{"name": "classifier.enabled", "value": False, "explicit": True}],
    }


@pytest.mark.parametrize(
    "command", [["check-config"], ["check-config", "--json"], ["serve", "--listen", "127.0.0.1:0"]]
)
def test_production_is_refused_in_one_line_with_the_exit_code_of_refused_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("MUXER_MODE", "production")
    assert run(command) == 2
    assert capsys.readouterr() == ("", REFUSAL)


async def test_rules_alone_decide_and_answer_in_a_service_whose_learned_classifier_is_switched_off(
    tmp_path: Path,
) -> None:
    async with (
        muxer(tmp_path, MUXER_CLASSIFIER__ENABLED="false") as service,
        AsyncMuxerClient(service.target) as client,
    ):
        answer = await client.complete("Write a Python function that reverses a list")
        async with client.stream("Prove by induction that the sum of two even numbers is even") as stream:
            async for _ in stream:
                pass
    told = answer.decision.classification
    assert (told.classifier_version, told.intent, told.confidence) == ("rules-1", routing_pb2.INTENT_CODE_GEN, 0.7)
    assert "programming_words" in {signal.name for signal in told.signals}
    assert answer.text
    assert stream.decision is not None
    assert stream.summary is not None
    assert stream.decision.classification.classifier_version == "rules-1"
    assert stream.summary.outcome == completion_pb2.OUTCOME_COMPLETE
