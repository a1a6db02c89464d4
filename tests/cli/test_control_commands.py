"""`muxer health`, `disable`, `enable`, `reset-breaker` and `settings`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from muxer_grpc.cli.app import run
from tests.cli.test_remote_commands import typed
from tests.process.running import Process, muxer

MODEL = "sandbox/sandbox-economy"
NOWHERE = ("--admin-target", "127.0.0.1:1")


async def test_an_operator_looks_and_acts(tmp_path: Path) -> None:
    """One service for all commands: starting one takes longer than any of them."""
    async with muxer(tmp_path) as service:
        await _breakers(service)
        await _settings(service)


async def _breakers(service: Process) -> None:
    code, out, _ = await typed(service, "health")
    names = [line.split()[0] for line in out.splitlines()]
    assert (code, names[:2], MODEL in names) == (0, ["name", "sandbox"], True)
    code, out, err = await typed(service, "disable", MODEL)
    assert (code, out) == (0, f"{MODEL}: disabled, revision 1\n"), err
    await typed(service, "disable", "sandbox")
    code, out, _ = await typed(service, "health", "--provider", "sandbox", "--json")
    disabled = {each.get("model", each["provider"]) for each in json.loads(out) if each.get("disabled")}
    assert disabled == {MODEL, "sandbox"}
    code, out, err = await typed(service, "enable", MODEL, "--revision", "7")
    assert (code, out, err.startswith("muxer: REVISION_CONFLICT: ")) == (1, "", True)
    for name, revision in ((MODEL, 2), ("sandbox", 2)):
        assert (await typed(service, "enable", name))[1] == f"{name}: closed, revision {revision}\n"
    code, out, _ = await typed(service, "reset-breaker", MODEL, "--json")
    assert (json.loads(out)["breaker"], json.loads(out)["revision"]) == ("BREAKER_STATE_CLOSED", "3")
    code, out, err = await typed(service, "disable", "sandbox/none")
    assert (code, out, "RESOURCE_NOT_FOUND" in err) == (1, "", True)
    code, out, _ = await typed(service, "health", "--watch", "--limit", "1")
    assert (code, MODEL in out) == (0, True)
    code, out, _ = await typed(service, "health", "--watch", "--limit", "1", "--json")
    assert json.loads(out)["snapshot"] is True


async def _settings(service: Process) -> None:
    code, out, _ = await typed(service, "settings", "show")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[2:] if line.split()}
    assert (code, rows["default_strategy"], rows["breaker.open_time"]) == (0, ["learned"] * 2, ["5s", "5s"])
    code, out, err = await typed(
        *(service, "settings", "set", "default_strategy=cost", "breaker.open_time=500ms", "retry_share=0.5"),
        *("breaker.enabled=off", "attempts.max_attempts=2", "weights=quality=0.7,cost=0.3"),
    )
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[2:] if line.split()}
    assert (code, out.startswith("revision 1, changed ")) == (0, True), err
    assert rows["default_strategy"] == ["cost", "learned", "set"]
    assert rows["breaker.open_time"] == ["0.5s", "5s", "set"]
    assert rows["breaker.enabled"] == ["false", "true", "set"]
    assert rows["weights"] == ["quality=0.7,cost=0.3", "set"]
    assert rows["attempts.max_attempts"] == ["2", "4", "set"]
    code, out, err = await typed(service, "settings", "set", "breaker.open_time=50m")
    assert (code, out, "settings.breaker.most_open_time: " in err) == (1, "", True)
    code, out, err = await typed(service, "settings", "unset", "breaker", "weights", "--revision", "1", "--json")
    assert code == 0, err
    left = json.loads(out)["overridden"].split(",")
    assert sorted(left) == ["attempts.maxAttempts", "defaultStrategy", "retryShare"]
    code, _, err = await typed(service, "settings", "unset", "nonsense")
    assert (code, "INVALID_REQUEST" in err) == (1, True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("retry_share", "'retry_share' is not name=value"),
        ("nonsense=1", "'nonsense' is not one of default_strategy, weights, breaker.enabled, "),
        ("breaker=1", "'breaker' is not one of "),
        ("breaker.open_time=soon", "breaker.open_time 'soon' is not a time like "),
        ("breaker.open_time=-1s", "breaker.open_time '-1s' is not a time like "),
        ("breaker.enabled=perhaps", "breaker.enabled 'perhaps' is not true or false"),
        ("attempts.max_attempts=2.5", "attempts.max_attempts '2.5' is not a whole number"),
        (
            "attempts.max_attempts=99999999999",
            "attempts.max_attempts '99999999999' is not a whole number that could be meant",
        ),
        ("retry_share=half", "retry_share 'half' is not a number"),
        ("weights=speed=1", "weights 'speed' is not one of availability, cost, performance, quality"),
        ("weights=quality", "weights 'quality' is not name=number"),
    ],
)
def test_what_is_no_such_value_is_told_before_anything_is_called(
    given: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["settings", "set", given, *NOWHERE]) == 2
    assert told in capsys.readouterr().err


def test_a_setting_is_given_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["settings", "set", "retry_share=0.1", "retry_share=0.2", *NOWHERE]) == 2
    assert "retry_share is given twice" in capsys.readouterr().err
