"""`muxer check-config`, `settings-doc` and `version`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muxer_grpc.cli.rendering import print_json, print_table

if TYPE_CHECKING:
    from muxer_grpc.settings_modes import PresetSetting

BEGIN = "<!-- settings:begin -->"
END = "<!-- settings:end -->"


def version(as_json: Annotated[bool, typer.Option("--json", help="Prints JSON.")] = False) -> None:
    """Prints the version."""
    from muxer_grpc import __version__

    if as_json:
        print_json({"version": __version__})
    else:
        sys.stdout.write(f"muxer {__version__}\n")


def check_config(
    config: Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Prints JSON.")] = False,
) -> None:
    """Checks the settings, and shows the mode, which providers are configured, and what the others lack."""
    import asyncio

    from muxer_grpc.bootstrap import describe
    from muxer_grpc.modes import PRESETS
    from muxer_grpc.settings_loading import load_settings
    from muxer_grpc.settings_modes import preset_settings

    settings = load_settings(config)
    catalogue = asyncio.run(describe(settings))
    counts = {name: sum(m.provider == name for m in catalogue.models.values()) for name in catalogue.providers}
    if as_json:
        entries = [
            {"name": p.name, "configured": p.configured, "detail": p.detail, "models": counts[p.name]}
            for p in catalogue.providers.values()
        ]
        mode = {
            "name": settings.mode.value,
            "summary": PRESETS[settings.mode].summary,
            "settings": [{"name": s.name, "value": s.value, "explicit": s.explicit} for s in preset_settings(settings)],
        }
        listeners = {"listen": settings.server.listen, "admin": settings.server.admin_listen}
        identity = {"modes": list(settings.identity.modes)}
        print_json({"mode": mode, **listeners, "identity": identity, "providers": entries})
        return
    sys.stdout.write(f"mode {settings.mode.value}: {PRESETS[settings.mode].summary}\n")
    for each in preset_settings(settings):
        sys.stdout.write(f"  {_said(each)}\n")
    sys.stdout.write(f"listens on {settings.server.listen}, admin on {settings.server.admin_listen or 'nothing'}\n")
    proof = (
        f"must prove who they are: {', '.join(settings.identity.modes)}" if settings.identity.asked else "need no proof"
    )
    sys.stdout.write(f"callers {proof}\n\n")
    rows = [
        [p.name, "yes" if p.configured else "no", str(counts[p.name]), p.detail] for p in catalogue.providers.values()
    ]
    print_table("", ["provider", "configured", ">models", "detail"], rows)
    if not catalogue.has_real_models:
        sys.stdout.write("\nno real model is configured: the sandbox answers, and says so\n")


def _said(setting: PresetSetting) -> str:
    """Says what a setting of the preset is, and why."""
    value = f"{setting.name} = {str(setting.value).lower()}"
    return (
        f"{value}, as set (the mode has {str(setting.of_mode).lower()})" if setting.explicit else f"{value} (the mode)"
    )


def settings_doc(
    check: Annotated[Path | None, typer.Option(help="Fails when the table in this file is stale.")] = None,
    write: Annotated[Path | None, typer.Option(help="Writes the table into this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Prints JSON.")] = False,
) -> int:
    """Prints the table of all settings, or keeps the one in a file fresh."""
    from muxer_grpc.settings import Settings
    from muxer_grpc.settings_loading import leaves, settings_table, variable_of

    if as_json:
        print_json([{"variable": variable_of(n), "meaning": f.description} for n, f in leaves(Settings)])
        return 0
    if check is None and write is None:
        sys.stdout.write(settings_table())
        return 0
    path = check or write
    text = path.read_text(encoding="utf-8") if path is not None else ""
    fresh = with_table(text, settings_table())
    if write is not None:
        write.write_text(fresh, encoding="utf-8")
    elif text != fresh:
        sys.stderr.write(f"the settings table in {path} is stale: run make settings-doc\n")
        return 1
    return 0


def with_table(text: str, table: str) -> str:
    """Puts the table between the marks. Raises ValueError when a mark is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        msg = f"the file has no {BEGIN} and {END}"
        raise ValueError(msg)
    return f"{before}{BEGIN}\n{table}{END}{after}"
