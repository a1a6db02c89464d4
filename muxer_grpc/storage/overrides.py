"""What operators set while the service runs, for all replicas. Implements the port Overrides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import RowMapping, and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.overrides import Document, Override, OverrideKind, OverrideName
from muxer_grpc.storage import audit
from muxer_grpc.storage.audit import MOST_NAME_CHARACTERS
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.locking import check_revision, hold
from muxer_grpc.storage.schema import overrides

KIND = "Override"
_KINDS = {kind.value: kind for kind in OverrideKind}


class OverrideTable:
    """Keeps overrides in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Sequence[Override]:
        """Lists them all, but for kinds that a later version keeps. Raises StorageUnavailable."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(overrides))).mappings().all()
        return [_override_of(row) for row in rows if row["kind"] in _KINDS]

    async def change(
        self, name: OverrideName, revision: int, change: Callable[[Document], Document], actor: Actor, *, action: str
    ) -> Override:
        """Puts what `change` makes of one in its place, and says so in the audit log.

        Raises RevisionConflict, StorageUnavailable, and what `change` raises.
        """
        named = and_(overrides.c.kind == name.kind.value, overrides.c.name == name.name)
        async with self._database.change() as connection:
            await self._make_sure(connection, name)
            before = _override_of(await hold(connection, overrides, KIND, name.resource, named))
            check_revision(KIND, name.resource, revision, before.revision)
            value = change(before.value)
            if value == before.value:
                return before
            after = Override(name, value, before.revision + 1, actor.at_us, actor.name[:MOST_NAME_CHARACTERS])
            changed = update(overrides).where(named)
            await connection.execute(
                changed.values(
                    value=dict(value),
                    revision=after.revision,
                    updated_us=after.updated_us,
                    updated_by=after.updated_by,
                )
            )
            await audit.append(
                connection, actor, action, name.resource, tenant_id="", before=before.value, after=after.value
            )
            return after

    async def _make_sure(self, connection: AsyncConnection, name: OverrideName) -> None:
        """Makes the row, so that of two who set it first one waits for the other."""
        row: dict[str, Any] = {"kind": name.kind.value, "name": name.name, "value": {}, "revision": 0, "updated_us": 0}
        await connection.execute(self._insert().values(**row, updated_by="").on_conflict_do_nothing())

    def _insert(self) -> Any:
        # A dialect takes some time to load, and only one of them is needed.
        if self._database.is_sqlite:
            from sqlalchemy.dialects.sqlite import insert
        else:
            from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
        return insert(overrides)


def _override_of(row: RowMapping) -> Override:
    return Override(
        OverrideName(_KINDS[row["kind"]], row["name"]),
        row["value"],
        row["revision"],
        row["updated_us"],
        row["updated_by"],
    )
