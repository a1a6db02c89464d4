"""Commands about settings that change while the service runs: show, set, unset."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls
from muxer_grpc.cli.rendering import print_json, print_table
from muxer_grpc.cli.steering import numbers
from muxer_grpc.cli.times import time_text

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

app = typer.Typer(help="Settings that change while the service runs.", no_args_is_help=True)

Revision = Annotated[int, typer.Option(help="Revision that must be current; default: whichever is.")]

GROUPS = ("breaker", "attempts")
WEIGHTS = "weights"
DURATION = "google.protobuf.Duration"
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600}
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@app.command("show")
def show(
    admin_target: AdminTarget = ADMIN, api_key: ApiKey = "", timeout: Seconds = 10.0, as_json: AsJson = False
) -> None:
    """Shows what is in force at the process that answers, and what it is configured with."""
    from muxer.v1 import control_service_pb2 as pb

    with _control(admin_target, api_key, timeout) as call:
        status = call("GetRuntimeSettings", pb.GetRuntimeSettingsRequest()).status
    _print_status(status, as_json=as_json)


@app.command("set")
def set_values(
    given: Annotated[
        list[str], typer.Argument(help="name=value, as breaker.open_time=10s weights=quality=0.7,cost=0.3")
    ],
    revision: Revision = 0,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Sets some, for all replicas and over their configuration, until they are unset."""
    from muxer.v1 import control_service_pb2 as pb

    request = pb.UpdateRuntimeSettingsRequest(revision=revision)
    for pair in given:
        name, separator, text = pair.partition("=")
        if not separator:
            msg = f"{pair!r} is not name=value"
            raise ValueError(msg)
        if name in request.update_mask.paths:
            msg = f"{name} is given twice"
            raise ValueError(msg)
        _put(request.settings, name, text)
        request.update_mask.paths.append(name)
    _update(request, admin_target, api_key, timeout, as_json=as_json)


@app.command("unset")
def unset(
    names: Annotated[list[str], typer.Argument(help="Names of settings, or whole groups: breaker, attempts.")],
    revision: Revision = 0,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Lets the configuration hold again."""
    from muxer.v1 import control_service_pb2 as pb

    request = pb.UpdateRuntimeSettingsRequest(revision=revision)
    request.update_mask.paths.extend(names)
    _update(request, admin_target, api_key, timeout, as_json=as_json)


def _update(request: Any, target: str, api_key: str, timeout: float, *, as_json: bool) -> None:
    with _control(target, api_key, timeout) as call:
        status = call("UpdateRuntimeSettings", request).status
    _print_status(status, as_json=as_json)


def _print_status(status: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(status)
        return
    overridden = set(status.overridden.paths)
    rows = [
        [path, _text(status.settings, path), _text(status.configured, path), "set" if path in overridden else ""]
        for path, _ in _fields(status.settings)
    ]
    changed = f", changed {time_text(status.update_time)}" if status.revision else ""
    typer.echo(f"revision {status.revision}{changed}\n")
    print_table("", ["setting", ">in force", ">configured", ""], rows)


def _fields(settings: Any) -> Iterator[tuple[str, FieldDescriptor]]:
    """Lists all settings by path, in the contract's order."""
    for field in settings.DESCRIPTOR.fields:
        if field.name in GROUPS:
            yield from ((f"{field.name}.{inner.name}", inner) for inner in field.message_type.fields)
        else:
            yield field.name, field


def _put(settings: Any, path: str, text: str) -> None:
    """Sets one by its path. Raises ValueError on text that is no such value; the service says what it may be."""
    fields = dict(_fields(settings))
    if path not in fields:
        msg = f"{path!r} is not one of {', '.join(fields)}"
        raise ValueError(msg)
    group, _, name = path.rpartition(".")
    holder, field = getattr(settings, group) if group else settings, fields[path]
    if field.message_type is None:
        _put_plain(holder, field, path, text)
    elif field.message_type.full_name == DURATION:
        getattr(holder, name).FromNanoseconds(round(_seconds(path, text) * 1e9))
    else:
        known = {each.name for each in field.message_type.fields}
        for factor, weight in (numbers(path, [text]) or {}).items():
            if factor not in known:
                msg = f"{path} {factor!r} is not one of {', '.join(sorted(known))}"
                raise ValueError(msg)
            setattr(getattr(holder, name), factor, weight)


def _put_plain(holder: Any, field: FieldDescriptor, path: str, text: str) -> None:
    kinds: dict[int, Callable[[str], Any]] = {
        field.CPPTYPE_STRING: str,
        field.CPPTYPE_BOOL: _word,
        field.CPPTYPE_INT32: int,
    }
    try:
        setattr(holder, field.name, kinds.get(field.cpp_type, float)(text))
    except (KeyError, ValueError):
        wanted = {field.CPPTYPE_BOOL: "true or false", field.CPPTYPE_INT32: "a whole number that could be meant"}
        msg = f"{path} {text!r} is not {wanted.get(field.cpp_type, 'a number')}"
        raise ValueError(msg) from None


def _word(text: str) -> bool:
    return _WORDS[text.lower()]


def _seconds(path: str, text: str) -> float:
    found = _SECONDS.fullmatch(text.strip())
    if found is None:
        msg = f"{path} {text!r} is not a time like 0.5, 250ms, 10s or 2m"
        raise ValueError(msg)
    return float(found[1]) * _UNITS[found[2] or "s"]


def _text(settings: Any, path: str) -> str:
    """Writes a setting as it can be typed; nothing where it is not set."""
    group, _, name = path.rpartition(".")
    holder = getattr(settings, group) if group else settings
    if not holder.HasField(name):
        return ""
    value = getattr(holder, name)
    if path == WEIGHTS:
        return ",".join(f"{field.name}={weight:g}" for field, weight in value.ListFields())
    if isinstance(value, bool):
        return str(value).lower()
    if hasattr(value, "ToNanoseconds"):
        return f"{value.ToNanoseconds() / 1e9:g}s"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _control(target: str, api_key: str, timeout: float) -> Any:
    from muxer.v1 import control_service_pb2_grpc

    return admin_calls(control_service_pb2_grpc.ControlServiceStub, target, api_key, timeout)
