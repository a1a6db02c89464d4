"""`muxer serve`."""

from __future__ import annotations

import gc
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from muxer_grpc.server import Listening

Config = Annotated[Path | None, typer.Option("--config", help="TOML file with settings; default: muxer.toml.")]


def serve(
    config: Config = None,
    listen: Annotated[str | None, typer.Option(help="Addresses of the data listener.")] = None,
    admin_listen: Annotated[str | None, typer.Option(help="Addresses of the admin listener; empty: none.")] = None,
    ops_listen: Annotated[str | None, typer.Option(help="Address of the HTTP listener for operators.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the ports.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Says where it serves as one line of JSON on stdout.")
    ] = False,
    examples: Annotated[bool, typer.Option("--examples", help="Prints commands to try, once serving.")] = False,
) -> int:
    """Serves until Ctrl-C or SIGTERM, then drains."""
    server = {"listen": listen, "admin_listen": admin_listen, "workers": workers}
    overrides: Any = {
        "server": {name: value for name, value in server.items() if value is not None},
        "log": {} if log_level is None else {"level": log_level},
        "ops": {} if ops_listen is None else {"listen": ops_listen},
    }
    # All that is loaded to start stays: looking through it again and again takes a tenth of the time. The service
    # switches the collector on when it serves.
    gc.disable()
    # A wish to reload that comes before there is anybody to hear it waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        return _serve(config, overrides, as_json=as_json, examples=examples)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        gc.enable()


def _serve(config: Path | None, overrides: Any, *, as_json: bool, examples: bool) -> int:
    from muxer_grpc.settings_loading import load_settings
    from muxer_grpc.telemetry.logs import set_up_logging

    settings = load_settings(config, **overrides)
    set_up_logging(settings.log.level, settings.log.format)

    from muxer_grpc.server import serve as serve_settings

    def ready(listening: Listening) -> None:
        if as_json:
            told = {"data": listening.data, "admin": listening.admin, "tls": listening.tls, "ops": listening.ops}
            sys.stdout.write(json.dumps(told) + "\n")
        else:
            sys.stdout.write(_said(listening))
        if examples:
            sys.stdout.write(_examples(listening))
        sys.stdout.flush()

    return serve_settings(settings, ready, lambda: load_settings(config, **overrides))


def _said(listening: Listening) -> str:
    admin = f", admin on {', '.join(listening.admin)}" if listening.admin else ""
    ops = f", for operators on http://{listening.ops}/" if listening.ops else ""
    return f"muxer serves on {', '.join(listening.data)}{admin}{ops}\n"


def _examples(listening: Listening) -> str:
    """Writes three commands that work as printed, for the tool that is there."""
    address = listening.data[0]
    prompt = {"role": "ROLE_USER", "parts": [{"text": "Analyze the time complexity of merge sort"}]}
    body = json.dumps({"spec": {"messages": [prompt]}})
    if shutil.which("grpcurl"):
        call = f"grpcurl -plaintext -d '{body}' {address} muxer.v1.MuxerService/"
        commands = [f"grpcurl -plaintext {address} list", f"{call}Route", f"{call}StreamComplete"]
    else:
        found = Path(sys.executable).with_name("buf")
        buf = found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else found
        start = f"{buf if found.exists() else 'buf'} curl --protocol grpc --http2-prior-knowledge"
        commands = [
            f"{start} --list-services http://{address}",
            f"{start} -d '{body}' http://{address}/muxer.v1.MuxerService/Route",
            f"{start} -d '{body}' http://{address}/muxer.v1.MuxerService/StreamComplete",
        ]
    return "\nTry it from another terminal:\n\n" + "".join(f"  {command}\n\n" for command in commands)
