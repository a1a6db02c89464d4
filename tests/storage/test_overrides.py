"""What operators set is kept with a revision and a line in the audit log, and read by all replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import insert, select

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.overrides import Document, Override, OverrideKind, OverrideName, Overrides, OverridesInMemory
from muxer_grpc.domain.refusals import RevisionConflict
from muxer_grpc.pipeline.override_feed import OverrideFeed
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.overrides import OverrideTable
from muxer_grpc.storage.schema import audit_log, overrides

ACTOR = Actor("muxer/root", 7)
MODEL = OverrideName(OverrideKind.MODEL, "acme/small")
OTHER = OverrideName(OverrideKind.PROVIDER, "acme")


@pytest.fixture(params=["kept", "in memory"])
def keeping(request: pytest.FixtureRequest, database: Database) -> Callable[[], Overrides]:
    return OverridesInMemory if request.param == "in memory" else lambda: OverrideTable(database)


def to(**value: object) -> Callable[[Document], Document]:
    return lambda _before: value


async def change(
    table: Overrides, made: Callable[[Document], Document], revision: int = 0, name: OverrideName = MODEL
) -> Override:
    return await table.change(name, revision, made, ACTOR, action="SetBreaker")


async def test_what_is_set_is_read_back_with_a_revision_that_grows(keeping: Callable[[], Overrides]) -> None:
    table = keeping()
    assert list(await table.all()) == []
    assert await change(table, to(disabled=True)) == Override(MODEL, {"disabled": True}, 1, 7, "muxer/root")
    await change(table, to(disabled=True), name=OTHER)
    again = await change(table, lambda before: {**before, "resets": 1}, revision=1)
    assert again == Override(MODEL, {"disabled": True, "resets": 1}, 2, 7, "muxer/root")
    assert {each.name: each.revision for each in await table.all()} == {MODEL: 2, OTHER: 1}


async def test_a_change_on_another_revision_is_refused(keeping: Callable[[], Overrides]) -> None:
    table = keeping()
    with pytest.raises(RevisionConflict) as raised:
        await change(table, to(disabled=True), revision=1)
    assert raised.value.metadata["revision"] == "0"
    await change(table, to(disabled=True))
    with pytest.raises(RevisionConflict) as raised:
        await change(table, to(disabled=False), revision=2)
    assert raised.value.metadata == {"resource": "models/acme/small", "revision": "1"}
    assert [each.value for each in await table.all()] == [{"disabled": True}]


async def test_a_change_that_fails_leaves_everything_as_it_was(keeping: Callable[[], Overrides]) -> None:
    table = keeping()

    def broken(_before: Document) -> Document:
        raise LookupError

    with pytest.raises(LookupError):
        await change(table, broken)
    assert [each for each in await table.all() if each.revision] == []


async def audited(database: Database) -> list[tuple[object, ...]]:
    async with database.read() as connection:
        rows = (await connection.execute(select(audit_log).order_by(audit_log.c.seq))).mappings().all()
    return [(row["principal"], row["action"], row["resource"], row["before"], row["after"]) for row in rows]


async def test_each_change_is_audited_and_one_that_changes_nothing_is_not(database: Database) -> None:
    table = OverrideTable(database)
    await change(table, to(disabled=True))
    await change(table, to(disabled=True))
    await change(table, to(disabled=False))
    assert [each.revision for each in await table.all()] == [2]
    assert await audited(database) == [
        ("muxer/root", "SetBreaker", "models/acme/small", {}, {"disabled": True}),
        ("muxer/root", "SetBreaker", "models/acme/small", {"disabled": True}, {"disabled": False}),
    ]


async def test_of_many_who_set_the_first_value_at_once_each_builds_on_the_one_before(database: Database) -> None:
    table = OverrideTable(database)

    def more(before: Document) -> Document:
        return {"count": before.get("count", 0) + 1}

    await asyncio.gather(*(change(table, more) for _ in range(8)))
    assert [(each.value, each.revision) for each in await table.all()] == [({"count": 8}, 8)]


async def test_kinds_of_a_later_version_are_passed_over(database: Database) -> None:
    table = OverrideTable(database)
    await change(table, to(disabled=True))
    row = {"kind": "weather", "name": "x", "value": {}, "revision": 1, "updated_us": 0, "updated_by": ""}
    async with database.change() as connection:
        await connection.execute(insert(overrides).values(row))
    assert [each.name for each in await table.all()] == [MODEL]


async def test_what_one_replica_sets_another_one_hears_of(database: Database) -> None:
    heard: list[dict[OverrideName, Document]] = []
    one = OverrideFeed(OverrideTable(database), lambda _kept: None)
    other = OverrideFeed(
        OverrideTable(database), lambda kept: heard.append({each.name: each.value for each in kept}), poll_seconds=0.001
    )
    watch = asyncio.create_task(other.watch())
    try:
        await one.change(MODEL, 0, to(disabled=True), ACTOR, action="SetBreaker")
        while {MODEL: {"disabled": True}} not in heard:
            await asyncio.sleep(0.001)
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def test_a_replica_follows_again_once_the_database_is_back(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    table = OverrideTable(Database(f"sqlite:///{tmp_path_factory.mktemp('gone')}/no/such/folder/muxer.db"))
    memory = OverridesInMemory()
    heard: list[int] = []

    class Away:
        down = True

        async def all(self) -> object:
            return await (table if self.down else memory).all()

    away = Away()
    feed = OverrideFeed(away, lambda kept: heard.append(len(kept)), poll_seconds=0.001)  # type: ignore[arg-type]
    watch = asyncio.create_task(feed.watch())
    try:
        while "what operators set cannot be read" not in caplog.text:
            await asyncio.sleep(0.001)
        assert heard == []
        await change(memory, to(disabled=True))
        away.down = False
        while not heard:
            await asyncio.sleep(0.001)
        assert heard[0] == 1
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
