"""Settings of the listener for those who operate the service."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from muxer_grpc.settings_addresses import UNIX, checked_addresses, split_addresses


def _check_address(text: str) -> str:
    """Refuses what is not one address host:port (ValueError)."""
    if text and (text.startswith(UNIX) or len(split_addresses(checked_addresses(text))) != 1):
        msg = "it must be one address host:port"
        raise ValueError(msg)
    return text


class OpsSettings(BaseModel):
    """HTTP for operators: metrics, health, and a page that shows how things stand. It changes nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: Annotated[str, AfterValidator(_check_address)] = Field(
        "",
        description="Address host:port of the HTTP listener for `/metrics`, `/healthz`, `/readyz` and the status page; "
        "empty: none. Each further worker listens on the next port.",
    )
