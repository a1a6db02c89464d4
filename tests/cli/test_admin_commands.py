"""Commands about tenants, users, keys, budgets and the audit log, as a person types them against a service."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from muxer_grpc.cli.app import run
from tests.process.running import muxer

PEPPER = "a pepper of thirty-two bytes, no less"


@dataclass
class Shell:
    """A person at a terminal, with a key."""

    target: str
    key: str

    async def type(self, *words: str) -> tuple[int, str, str]:
        """Runs a command; gives the exit code, stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        given = [*words, "--admin-target", self.target, "--api-key", self.key]
        with redirect_stdout(out), redirect_stderr(err):
            code = await asyncio.to_thread(run, given)
        return code, out.getvalue(), err.getvalue()

    async def done(self, *words: str) -> str:
        code, out, err = await self.type(*words)
        assert (code, "Traceback" in err) == (0, False), err
        return out

    async def told(self, *words: str) -> Any:
        return json.loads(await self.done(*words, "--json"))

    async def refused(self, *words: str, code: int = 1) -> str:
        ended, out, err = await self.type(*words)
        assert (ended, out) == (code, ""), out
        return err


@pytest.fixture
async def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Shell, None]:
    """Gives the first admin, with a key that was made without a service, at a service that asks for keys."""
    for name in ("MUXER_API_KEY", "MUXER_ADMIN_TARGET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUXER_IDENTITY__PEPPER", PEPPER)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert await asyncio.to_thread(run, ["keys", "create", "--local", "--expires", "90d"]) == 0
    assert "of muxer/admin, admin, until " in err.getvalue()
    variables = {"MUXER_IDENTITY__PEPPER": PEPPER, "MUXER_IDENTITY__MODES": "keys"}
    async with muxer(tmp_path, **variables) as service:
        yield Shell(service.admin_target, out.getvalue().strip())


async def test_an_operator_gives_a_team_its_account(root: Shell) -> None:
    """One service for all commands: starting one takes longer than any of them."""
    await _tenants(root)
    await _users(root)
    secret = await _keys(root)
    await _budgets(root)
    await _audit(root, secret)
    await _isolation(root)


async def _tenants(root: Shell) -> None:
    made = await root.told(
        *("tenants", "create", "acme", "--name", "Acme", "--requests-per-minute", "60", "--deny-provider", "openai"),
        *("--safety", "block", "--content", "kept", "--content-days", "30", "--weights", "quality=0.6,cost=0.4"),
    )
    assert (made["id"], made["rate_limit"], made["policy"]) == (
        "acme",
        {"requests_per_minute": "60"},
        {
            "denied_providers": ["openai"],
            "weights": {"quality": 0.6, "cost": 0.4},
            "safety_action": "SAFETY_ACTION_BLOCK",
            "content_storage": "CONTENT_STORAGE_KEPT",
            "content_days": 30,
        },
    )
    changed = await root.told("tenants", "update", "acme", "--tokens-per-minute", "9", "--safety", "flag")
    assert changed["rate_limit"] == {"requests_per_minute": "60", "tokens_per_minute": "9"}
    assert (changed["policy"]["safety_action"], changed["policy"]["content_days"]) == ("SAFETY_ACTION_FLAG", 30)
    cleared = await root.told("tenants", "update", "acme", "--clear", "rate_limit", "--clear", "policy.weights")
    assert ("rate_limit" in cleared, "weights" in cleared["policy"]) == (False, False)
    shown = await root.done("tenants", "get", "acme")
    assert "denied_providers: openai; safety_action: flag; content_storage: kept; content_days: 30" in shown
    assert [tenant["id"] for tenant in await root.told("tenants", "list")] == ["acme", "local", "muxer"]
    assert (await root.refused("tenants", "create", "acme")).startswith("muxer: RESOURCE_EXISTS: ")
    assert "tenant.id: give 1 to 63" in await root.refused("tenants", "create", "Not An Id")
    assert "is at revision 3" in await root.refused("tenants", "update", "acme", "--suspend", "--revision", "2")
    assert "update_mask: name the fields" in await root.refused("tenants", "update", "acme")
    wrong = {
        ("--safety", "panic"): "--safety 'panic' is not one of allow, flag, block",
        ("--weights", "speed=1"): "'speed' is not a factor; known are quality, cost",
        ("--weights", "quality"): "is not name=number",
    }
    for words, told in wrong.items():
        assert told in await root.refused("tenants", "update", "acme", *words, code=2)
    await root.done("tenants", "create", "brief")
    await root.done("tenants", "delete", "brief")
    assert "RESOURCE_NOT_FOUND" in await root.refused("tenants", "get", "brief")


async def _users(root: Shell) -> None:
    made = await root.told("users", "create", "ann@example.com", "--tenant", "acme", "--role", "admin", "--name", "Ann")
    assert (made["id"], made["role"], made["display_name"]) == ("ann@example.com", "PRINCIPAL_ROLE_ADMIN", "Ann")
    await root.done("users", "create", "bob", "--tenant", "acme")
    listed = await root.done("users", "list", "--tenant", "acme")
    assert [line.split()[1] for line in listed.splitlines()[1:]] == ["ann@example.com", "bob"]
    changed = await root.told("users", "update", "bob", "--tenant", "acme", "--suspend")
    assert (changed["suspended"], changed["role"]) == (True, "PRINCIPAL_ROLE_CALLER")
    assert [u["id"] for u in await root.told("users", "list", "--suspended")] == ["bob"]
    assert "suspended" not in await root.told("users", "update", "bob", "--tenant", "acme", "--resume")
    assert (await root.told("users", "get", "bob", "--tenant", "acme"))["revision"] == "3"
    assert "--role 'king' is not one of" in await root.refused("users", "create", "x", "--role", "king", code=2)


async def _keys(root: Shell) -> str:
    code, secret, told = await root.type(
        *(
            "keys",
            "create",
            "--tenant",
            "acme",
            "--user",
            "bob",
            "--role",
            "caller",
            "--expires",
            "90d",
            "--name",
            "CI",
        ),
        *("--tokens-per-minute", "1000"),
    )
    assert (code, secret.startswith("mux_")) == (0, True)
    key = secret.split("_")[1]
    assert told.startswith(f"key {key} of acme/bob, caller, until 20")
    shown = await root.told("keys", "get", key)
    assert (shown["prefix"], shown["usable"], shown["rate_limit"]) == (
        f"mux_{key}",
        True,
        {"tokens_per_minute": "1000"},
    )
    changed = await root.told("keys", "update", key, "--requests-per-minute", "5", "--expires", "never")
    assert changed["rate_limit"] == {"requests_per_minute": "5", "tokens_per_minute": "1000"}
    assert "expire_time" not in changed
    assert "rate_limit" not in await root.told("keys", "update", key, "--unlimited")
    rotated = await root.told("keys", "rotate", key, "--overlap", "24h")
    assert (rotated["key"]["rotated_from"], rotated["replaced"]["usable"]) == (key, True)
    assert rotated["secret"] not in (secret.strip(), "")
    listed = await root.done("keys", "list", "--tenant", "acme", "--user", "bob")
    assert {line.split()[0] for line in listed.splitlines()[1:]} == {key, rotated["key"]["id"]}
    assert secret.strip() not in listed
    revoked = await root.told("keys", "revoke", key)
    assert "usable" not in revoked
    assert len(await root.told("keys", "list", "--tenant", "acme", "--usable")) == 1
    assert "PRECONDITION_FAILED" in await root.refused("keys", "rotate", key)
    assert "not a duration like" in await root.refused("keys", "rotate", key, "--overlap", "soon", code=2)
    return secret.strip()


async def _budgets(root: Shell) -> None:
    found = await root.told(
        *("budgets", "set", "--tenant", "acme", "--daily", "0.000000001", "--monthly", "9000000"),
        *("--time-zone", "Europe/Berlin", "--alert-at", "90"),
    )
    assert [(b["period"], b["limit_nano_usd"], b["time_zone"], b["alert_shares"]) for b in found] == [
        ("BUDGET_PERIOD_DAILY", "1", "Europe/Berlin", [90]),
        ("BUDGET_PERIOD_MONTHLY", "9000000000000000", "Europe/Berlin", [90]),
    ]
    [changed] = await root.told("budgets", "set", "--tenant", "acme", "--daily", "12.5", "--soft")
    assert (changed["id"], changed["limit_nano_usd"], changed["soft"]) == (found[0]["id"], "12500000000", True)
    assert changed["alert_shares"] == [90]
    [kept] = await root.told("budgets", "set", "--tenant", "acme", "--daily", "13")
    assert kept["soft"] is True
    told = await root.refused("budgets", "set", "--tenant", "acme", "--daily", "1", "--time-zone", "UTC", code=2)
    assert "begin in Europe/Berlin, which stays" in told
    listed = await root.done("budgets", "list", "--tenant", "acme")
    assert "$13.00" in listed
    assert len(listed.splitlines()) == 1 + 2 + 2 * 2
    assert "$10.00" in await root.done("budgets", "list", "--tenant", "acme", "--user", "bob")
    await root.done("budgets", "delete", kept["id"])
    assert "RESOURCE_NOT_FOUND" in await root.refused("budgets", "get", kept["id"])
    for words, said in {
        (): "give at least one of --daily",
        ("--daily", "0.1e-9"): "is not an amount in USD of at most 9 decimals",
        ("--daily", "ten"): "is not an amount in USD",
        ("--daily", "1", "--alert-at", "a lot"): "is not a list of percents",
    }.items():
        assert said in await root.refused("budgets", "set", "--tenant", "acme", *words, code=2)
    assert "budget.limit_nano_usd" in await root.refused("budgets", "set", "--tenant", "acme", "--total", "9000001")


async def _audit(root: Shell, secret: str) -> None:
    entries = await root.told("audit", "--tenant", "acme", "--limit", "1000")
    assert entries[-1]["action"] == "CreateTenant"
    assert {entry["principal"].partition(" by key ")[0] for entry in entries} == {"muxer/admin"}
    assert secret.split("_", 2)[2] not in json.dumps(entries)
    assert len(await root.told("audit", "--limit", "2")) == 2
    assert await root.told("audit", "--tenant", "acme", "--action", "RevokeKey", "--since", "1h")
    first = (await root.told("audit", "--action", "CreateKey", "--limit", "1000"))[-1]
    assert (first["principal"], first["tenant_id"]) == ("muxer keys create --local", "muxer")
    table = await root.done("audit", "--action", "UpdateBudget", "--limit", "1")
    assert "limit_nano_usd: 12500000000 -> 13000000000" in table


async def _isolation(root: Shell) -> None:
    code, secret, _ = await root.type("keys", "create", "--tenant", "acme", "--user", "ann@example.com")
    assert code == 0
    ann = Shell(root.target, secret.strip())
    assert [tenant["id"] for tenant in await ann.told("tenants", "list")] == ["acme"]
    assert {user["tenant_id"] for user in await ann.told("users", "list")} == {"acme"}
    assert "PERMISSION_DENIED" in await ann.refused("users", "list", "--tenant", "muxer")
    nobody = Shell(root.target, "")
    assert "UNAUTHENTICATED" in await nobody.refused("tenants", "list")


@pytest.fixture
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MUXER_API_KEY", "MUXER_IDENTITY__PEPPER", "MUXER_STORAGE__URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_alone")
def test_a_first_key_needs_a_pepper_and_makes_nothing_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "create", "--local"]) == 2
    assert "set MUXER_IDENTITY__PEPPER" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_alone")
def test_a_first_key_of_somebody_else_needs_its_user(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUXER_IDENTITY__PEPPER", PEPPER)
    assert run(["keys", "create", "--local", "--tenant", "acme", "--user", "ann"]) == 1
    assert capsys.readouterr().err == "muxer: RESOURCE_NOT_FOUND: User 'ann' does not exist\n"
    assert run(["keys", "create", "--local", "--tenant", "No"]) == 1
    assert "\n  key.tenant_id: give 1 to 63" in capsys.readouterr().err


@pytest.mark.usefixtures("_alone")
def test_the_operator_is_made_once_and_a_second_key_is_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUXER_IDENTITY__PEPPER", PEPPER)
    told = []
    for _ in range(2):
        assert run(["keys", "create", "--local", "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert {key["key"]["user_id"] for key in told} == {"admin"}
    assert told[0]["secret"] != told[1]["secret"]


@pytest.mark.usefixtures("_alone")
def test_a_database_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MUXER_IDENTITY__PEPPER", PEPPER)
    monkeypatch.setenv("MUXER_STORAGE__URL", "postgresql://muxer:hunter2@127.0.0.1:1/muxer")
    assert run(["keys", "create", "--local"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("muxer: STORAGE_UNAVAILABLE: ")
    assert "hunter2" not in told
