"""The commands of `muxer` and how their errors are told: one readable line with the reason, and an exit code.

Exit codes: 0 done, 1 the call failed, 2 wrong usage or settings, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import typer

CALL_FAILED = 1
USAGE = 2
INTERRUPTED = 130

# Where each command is, in the order in which help lists them: a function, or an app with commands of its own. Only
# that which is asked for is loaded; all of them take a fifth of a service's start.
COMMANDS = {
    "serve": "serving:serve",
    "route": "calls:route",
    "complete": "calls:complete",
    "metrics": "metrics:metrics",
    "models": "calls:models",
    "providers": "calls:providers",
    "health": "fleet_health:health",
    "disable": "fleet_health:disable",
    "enable": "fleet_health:enable",
    "reset-breaker": "fleet_health:reset",
    "audit": "audit:audit",
    "usage": "usage:usage",
    "explain": "explaining:explain",
    "replay": "replaying:replay",
    "savings": "savings:savings",
    "migrate": "migrating:migrate",
    "classify": "classifying:classify",
    "check-config": "configuration:check_config",
    "settings-doc": "configuration:settings_doc",
    "version": "configuration:version",
    "settings": "runtime_settings:app",
    "tenants": "tenants:app",
    "users": "users:app",
    "keys": "keys:app",
    "budgets": "budgets:app",
    "ledger": "ledger:app",
    "decisions": "decisions:app",
    "alerts": "alerts:app",
    "prices": "prices:app",
    "cache": "caching:app",
}


def app_with(names: Iterable[str]) -> typer.Typer:
    """Makes the command line with some of its commands."""
    app = typer.Typer(
        name="muxer",
        help="Routes LLM calls over gRPC: serve, ask, and look inside.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    # A command that is the only one still goes by its name.
    app.callback()(lambda: None)
    for name in names:
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(import_module(f"muxer_grpc.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Runs a command and exits."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Runs a command. Gives the exit code."""
    try:
        asked = sys.argv[1:] if arguments is None else arguments
        names = asked[:1] if asked and asked[0] in COMMANDS else COMMANDS
        result: Any = app_with(names)(arguments, standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.Exit as ended:
        return ended.exit_code
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        code, line = told
        if line:
            sys.stderr.write(f"muxer: {line}\n")
        return code
    return result if isinstance(result, int) else 0


def _told(error: Exception) -> tuple[int, str] | None:
    """Gives the exit code and the line for an error that a user can mend; None for a defect."""
    from muxer_client import MuxerError

    from muxer_grpc.domain import errors
    from muxer_grpc.settings_loading import SettingsError

    if isinstance(error, SettingsError):
        return USAGE, "\nmuxer: ".join(error.problems)
    if isinstance(error, errors.MuxerError):  # of a command that needs no service
        told = "".join(f"\n  {each.field}: {each.description}" for each in getattr(error, "violations", ()))
        return CALL_FAILED, f"{error.reason.value}: {error.message}{told}"
    if isinstance(error, MuxerError):
        fields = "".join(f"\n  {field}: {text}" for field, text in error.violations.items())
        models = "".join(f"\n  {model}: {text}" for model, text in error.exclusions.items())
        return CALL_FAILED, f"{error.reason}: {error.message}{fields}{models}"
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # wrong usage, as click tells it
        # Who asks for nothing is shown the help, and no error.
        told = error.format_message()
        return USAGE, f"{told} (muxer --help lists the commands)" if told else ""
    if isinstance(error, OSError):
        name = f" {error.filename}" if error.filename else ""
        return USAGE, f"{error.strerror or error}{name}"
    return (USAGE, str(error)) if isinstance(error, ValueError) else None
