"""Settings of alerts: whom else to tell when a share of a budget is spent."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from muxer_grpc.settings_addresses import is_loopback

MIN_SECRET_CHARACTERS = 16


def _check_url(url: SecretStr) -> SecretStr:
    """Checks the form of a URL. What is wrong with it is told without repeating it: its path may be a secret."""
    text = url.get_secret_value()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not host or port == 0 or not safe or "@" in parts.netloc or parts.fragment or any(c.isspace() for c in text):
        msg = "it must be https (http to this machine alone), with a host and without credentials and fragment"
        raise ValueError(msg)
    return url


def _check_secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < MIN_SECRET_CHARACTERS:
        msg = f"it must have at least {MIN_SECRET_CHARACTERS} characters"
        raise ValueError(msg)
    return secret


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


class AlertSettings(BaseModel):
    """Whom to tell when a share of a budget is spent, beside the log and those who watch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    webhook_url: Annotated[Annotated[SecretStr, AfterValidator(_check_url)] | None, BeforeValidator(_none_if_empty)] = (
        Field(None, description="URL that alerts are sent to as JSON; https, or http to this machine. Unset: none.")
    )
    webhook_secret: Annotated[
        Annotated[SecretStr, AfterValidator(_check_secret)] | None, BeforeValidator(_none_if_empty)
    ] = Field(
        None,
        description="Secret that signs what is sent, in the header `muxer-signature` (HMAC-SHA-256 of `t.body`); "
        "unset: unsigned.",
    )
    webhook_timeout_seconds: float = Field(
        5, gt=0, le=60, description="Bound on sending an alert once, in seconds; it is tried again a few times."
    )
