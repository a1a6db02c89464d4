"""The commands of `muxer` and how their errors are told: one readable line with the reason, and an exit code.

Exit codes: 0 done, 1 the call failed, 2 wrong usage or settings, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Any

import typer

from muxer_grpc.cli import (
    alerts,
    audit,
    budgets,
    caching,
    calls,
    classifying,
    configuration,
    decisions,
    explaining,
    fleet_health,
    keys,
    ledger,
    metrics,
    migrating,
    prices,
    replaying,
    runtime_settings,
    savings,
    serving,
    tenants,
    usage,
    users,
)

CALL_FAILED = 1
USAGE = 2
INTERRUPTED = 130

app = typer.Typer(
    name="muxer",
    help="Routes LLM calls over gRPC: serve, ask, and look inside.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("serve")(serving.serve)
app.command("route")(calls.route)
app.command("complete")(calls.complete)
app.command("metrics")(metrics.metrics)
app.command("models")(calls.models)
app.command("providers")(calls.providers)
app.command("health")(fleet_health.health)
app.command("disable")(fleet_health.disable)
app.command("enable")(fleet_health.enable)
app.command("reset-breaker")(fleet_health.reset)
app.add_typer(runtime_settings.app, name="settings")
app.add_typer(tenants.app, name="tenants")
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(budgets.app, name="budgets")
app.command("audit")(audit.audit)
app.command("usage")(usage.usage)
app.add_typer(ledger.app, name="ledger")
app.add_typer(decisions.app, name="decisions")
app.command("explain")(explaining.explain)
app.command("replay")(replaying.replay)
app.add_typer(alerts.app, name="alerts")
app.command("savings")(savings.savings)
app.add_typer(prices.app, name="prices")
app.add_typer(caching.app, name="cache")
app.command("migrate")(migrating.migrate)
app.command("classify")(classifying.classify)
app.command("check-config")(configuration.check_config)
app.command("settings-doc")(configuration.settings_doc)
app.command("version")(configuration.version)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command and exits."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Runs a command. Gives the exit code."""
    try:
        result: Any = app(arguments, standalone_mode=False)
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
        return USAGE, f"{error.format_message()} (muxer --help lists the commands)"
    if isinstance(error, OSError):
        name = f" {error.filename}" if error.filename else ""
        return USAGE, f"{error.strerror or error}{name}"
    return (USAGE, str(error)) if isinstance(error, ValueError) else None
