"""Commands about how models and providers do: health, and their breakers by hand: disable, enable, reset-breaker."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import typer

from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls, pages
from muxer_grpc.cli.rendering import enum_word, print_json, print_table, shown
from muxer_grpc.cli.times import time_text

MOST_IN_A_PAGE = 1_000
AGAIN_SECONDS = 1.0

Name = Annotated[str, typer.Argument(help="A model as provider/model, or a provider.")]
Revision = Annotated[int, typer.Option(help="Revision that must be current; default: whichever is.")]


def health(
    provider: Annotated[str, typer.Option(help="Only this provider and its models.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Stays and prints what changes, until Ctrl-C.")] = False,
    most: Annotated[int | None, typer.Option("--limit", min=1, help="Ends --watch after so many replies.")] = None,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows how models and providers do at the process that answers: breakers, failures, latency, probes.

    With --watch and --json, a line for each reply.
    """
    from muxer.v1 import fleet_health_service_pb2 as pb

    if watch:
        replies = _followed(pb.WatchHealthRequest(provider=provider), admin_target, api_key)
        _print_changes(islice(replies, most), as_json=as_json)
        return
    request = pb.ListHealthRequest(page_size=MOST_IN_A_PAGE, provider=provider)
    with _health(admin_target, api_key, timeout) as call:
        found = list(pages(call, "ListHealth", request, "targets"))
    if as_json:
        print_json([_plain(each) for each in found])
        return
    _print_targets(found)


def disable(
    name: Name,
    revision: Revision = 0,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Has a model, or a provider, called no more, at all replicas, until it is enabled. Calls under way go on."""
    _set_breaker(name, "DISABLE", revision, admin_target, api_key, timeout=timeout, as_json=as_json)


def enable(
    name: Name,
    revision: Revision = 0,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Takes a disable back; failures from before are forgotten."""
    _set_breaker(name, "ENABLE", revision, admin_target, api_key, timeout=timeout, as_json=as_json)


def reset(
    name: Name,
    revision: Revision = 0,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Closes the breaker of a model or a provider and forgets its failures; what is disabled stays so."""
    _set_breaker(name, "RESET", revision, admin_target, api_key, timeout=timeout, as_json=as_json)


def _set_breaker(
    name: str, action: str, revision: int, target: str, api_key: str, *, timeout: float, as_json: bool
) -> None:
    from muxer.v1 import fleet_health_service_pb2 as pb

    request = pb.SetBreakerRequest(action=f"BREAKER_ACTION_{action}", revision=revision)
    setattr(request, "model" if "/" in name else "provider", name)
    with _health(target, api_key, timeout) as call:
        done = call("SetBreaker", request).target
    if as_json:
        print_json(done)
    else:
        typer.echo(shown(f"{_name(done)}: {_state(done)}, revision {done.revision}"))


def _followed(request: Any, target: str, api_key: str) -> Iterator[Any]:
    """Yields replies for ever: a stream that ends, as when a service drains, is opened again."""
    from muxer_client import MuxerError
    from muxer_client.errors import typed_errors

    begun = False
    while True:
        try:
            # Without a deadline of its own, a stream lasts as long as the service lets it.
            with typed_errors(), _health(target, api_key, None) as call:
                for reply in call("WatchHealth", request):
                    begun = True
                    yield reply
        except MuxerError as error:
            if not begun or error.code.name != "UNAVAILABLE":
                raise
        time.sleep(AGAIN_SECONDS)


def _print_changes(replies: Iterable[Any], *, as_json: bool) -> None:
    """Prints all targets as a table first, and then a line for each whose state is another than was told last."""
    told: dict[str, str] = {}
    for reply in replies:
        if as_json:
            sys.stdout.write(json.dumps(_plain(reply), ensure_ascii=False) + "\n")
        elif not told:
            _print_targets(reply.targets)
        states = {_name(target): _state(target) for target in reply.targets}
        states |= dict.fromkeys(reply.gone_models, "gone")
        if told and not as_json:
            at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            changed = [name for name, state in states.items() if told.get(name) != state]
            sys.stdout.writelines(shown(f"{at} {name}: {states[name]}") + "\n" for name in changed)
        told |= states
        sys.stdout.flush()


def _print_targets(targets: Iterable[Any]) -> None:
    rows = [
        [
            _name(each),
            _state(each),
            f"{100 * each.success_rate:.1f} %" if each.HasField("success_rate") else "",
            f"{_ms(each.p50_latency)} / {_ms(each.p95_latency)}" if each.HasField("p50_latency") else "",
            time_text(each.last_request_time),
            _probe(each),
        ]
        for each in targets
    ]
    columns = ["name", "state", ">success", ">p50 / p95 ms", "last request", "last probe"]
    print_table("", columns, rows)


def _name(target: Any) -> str:
    return str(target.model or target.provider)


def _state(target: Any) -> str:
    """Says whether calls pass, and what speaks against it."""
    told = [enum_word(target, "breaker")]
    if target.HasField("next_attempt_time"):
        told.append(f"until {time_text(target.next_attempt_time)}")
    if target.consecutive_failures:
        told.append(f"{target.consecutive_failures} failed in a row")
    return ", ".join(told)


def _ms(duration: Any) -> str:
    return f"{duration.ToTimedelta().total_seconds() * 1000:,.0f}"


def _probe(target: Any) -> str:
    if not target.HasField("last_probe"):
        return ""
    probe = target.last_probe
    word = f"answered in {_ms(probe.latency)} ms" if probe.ok else enum_word(probe, "failure_class")
    return f"{word}, {time_text(probe.time)}"


def _health(target: str, api_key: str, timeout: float | None) -> Any:
    from muxer.v1 import fleet_health_service_pb2_grpc

    return admin_calls(fleet_health_service_pb2_grpc.FleetHealthServiceStub, target, api_key, timeout)


def _plain(message: Any) -> Any:
    from google.protobuf import json_format

    return json_format.MessageToDict(message, preserving_proto_field_name=True)
