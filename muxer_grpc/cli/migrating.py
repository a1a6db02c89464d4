"""`muxer migrate`: brings the tables of the database to a revision."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from muxer_grpc.cli.rendering import print_json

Config = Annotated[Path | None, typer.Option("--config", help="TOML file with settings; default: muxer.toml.")]


def migrate(
    to: Annotated[str, typer.Option("--to", help="Revision; `base` for none.")] = "head",
    show: Annotated[bool, typer.Option("--show", help="Shows how the tables stand, and changes nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Agrees to lose what an earlier revision cannot hold.")] = False,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Prints JSON.")] = False,
) -> None:
    """Migrates the tables of the configured database to the revision that this version needs, or to another."""
    from muxer_grpc.settings_loading import load_settings
    from muxer_grpc.storage.database import Database
    from muxer_grpc.storage.migrating import NEWEST, SchemaState, SchemaUnfit, revisions, state_of
    from muxer_grpc.storage.migrating import migrate as migrate_tables

    database = Database(load_settings(config).storage.url.get_secret_value())
    if show and database.is_sqlite and not Path(str(database.url.database)).exists():
        # Only to look would make the file.
        state, before = SchemaState.EMPTY, ""
    else:
        state, before = state_of(database)
    if show:
        told = {"database": database.shown, "state": state.value, "revision": before, "newest": NEWEST}
        if as_json:
            print_json(told)
        else:
            sys.stdout.write(f"{database.shown} is {state.value}: at {before or 'no revision'}, newest {NEWEST}\n")
        return
    if to not in ("head", "base", *revisions()):
        msg = f"--to {to!r} is not one of head, base, {', '.join(revisions())}"
        raise ValueError(msg)
    if state is SchemaState.UNKNOWN:
        msg = f"{database.shown} holds tables that this version does not know, and leaves them as they are"
        raise SchemaUnfit(msg)
    target = {"head": NEWEST, "base": ""}.get(to, to)
    if target < before and not yes:
        msg = f"to go back from {before} to {target or 'nothing'} deletes what earlier tables cannot hold: add --yes"
        raise ValueError(msg)
    before, after = migrate_tables(database, to)
    if as_json:
        print_json({"database": database.shown, "before": before, "after": after})
    else:
        sys.stdout.write(f"{database.shown}: {before or 'no revision'} -> {after or 'no revision'}\n")
