"""Settings of what is kept: the database, promises to pay, the window of request ids, the history of decisions."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from muxer_grpc.storage.database import checked_url

DAY_SECONDS = 86_400.0


def _check_storage_url(url: SecretStr) -> SecretStr:
    checked_url(url.get_secret_value())
    return url


class StorageSettings(BaseModel):
    """The database and what is kept in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[SecretStr, AfterValidator(_check_storage_url)] = Field(
        SecretStr("sqlite:///muxer.db"),
        description="Database: `sqlite:///file` or `postgresql://user:password@host/database`.",
    )
    lease_seconds: float = Field(
        20,
        ge=1,
        le=3_600,
        description="A promise to pay whose process is gone is settled after so many seconds without a sign of life.",
    )
    patience_seconds: float = Field(
        3,
        gt=0,
        le=60,
        description="How long a call waits for a database that cannot be written before it is refused, in seconds.",
    )
    settle_seconds: float = Field(
        10,
        gt=0,
        le=300,
        description="How long an answer waits to be accounted for before the call fails, in seconds; it is accounted "
        "for later all the same. At a stop, what is left to write is tried for as long.",
    )
    request_id_seconds: float = Field(
        600, ge=0, le=7 * DAY_SECONDS, description="How long a request id gives the same answer, in seconds."
    )
    decision_days: float = Field(
        7, ge=0, le=3_650, description="How long decisions are kept as history, in days; 0 keeps none."
    )
    default_max_output_tokens: int = Field(
        16_384,
        ge=1,
        le=10_000_000,
        description="Bound on an answer whose request sets none, in tokens: what is reserved of budgets rests on it.",
    )
