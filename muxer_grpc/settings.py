"""All settings, by area. Sources, the first wins: environment (MUXER_, nested by __), .env, a TOML file, defaults."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from muxer_grpc.domain.routing.ranking import DEFAULT_STRATEGY, known_strategies
from muxer_grpc.providers.model_rows import ModelRow
from muxer_grpc.providers.registry import adapters

PREFIX = "MUXER_"
DELIMITER = "__"


def is_loopback(host: str) -> bool:
    """Tells whether a host is this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _check_addresses(value: str) -> str:
    """Refuses what is no address, and, without authentication, every address that others can reach."""
    for address in filter(None, (part.strip() for part in value.split(","))):
        if address.startswith("unix:"):
            if len(address) <= len("unix:"):
                msg = "a unix address names a file: unix:/run/muxer.sock"
                raise ValueError(msg)
            continue
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            msg = "an address is host:port or unix:/path"
            raise ValueError(msg)
        if not is_loopback(host):
            msg = "without authentication, only loopback addresses and unix sockets are served (127.0.0.1:50051)"
            raise ValueError(msg)
    return value


Addresses = Annotated[str, AfterValidator(_check_addresses)]


class _Area(BaseModel):
    """A group of settings; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Area):
    """Listeners, transport, admission and drain."""

    listen: Addresses = Field(
        "127.0.0.1:50051", description="Addresses of the data listener: host:port or unix:/path, separated by commas."
    )
    admin_listen: Addresses = Field("127.0.0.1:50052", description="Addresses of the admin listener; empty: none.")
    workers: int = Field(1, ge=1, le=64, description="Processes that share the ports; one per core is right.")
    reflection: bool = Field(True, description="Lets tools ask the listeners for their contract.")
    max_receive_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024, description="Largest request, in bytes."
    )
    max_send_bytes: int = Field(
        32 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024, description="Largest reply message, in bytes."
    )
    keepalive_seconds: float = Field(120, ge=10, description="Interval of the server's pings, in seconds.")
    min_client_ping_interval_seconds: float = Field(
        30, ge=1, description="Callers that ping more often than this many seconds are sent away."
    )
    max_connection_age_seconds: float = Field(
        600, ge=0, description="Connections are renewed after this many seconds, so that load spreads; 0: never."
    )
    max_connection_age_grace_seconds: float = Field(
        600, ge=0, description="Calls on a connection that is renewed may go on for this many seconds; 0: for ever."
    )
    max_connection_idle_seconds: float = Field(
        600, ge=0, description="Idle connections are closed after this many seconds; 0: never."
    )
    max_concurrent_streams: int = Field(1_000, ge=1, description="Calls at once on one connection; more wait there.")
    max_concurrent_calls: int = Field(2_000, ge=1, description="Unary calls at once in a process; more are shed.")
    max_concurrent_stream_calls: int = Field(1_000, ge=1, description="Streams at once in a process; more are shed.")
    default_deadline_seconds: float = Field(
        300, gt=0, le=3600, description="Longest call, in seconds; a caller's own deadline may be shorter."
    )
    drain_announce_seconds: float = Field(
        0, ge=0, le=300, description="On a stop, calls are still taken for this many seconds; 5 to 10 in a mesh."
    )
    drain_grace_seconds: float = Field(
        20, ge=0.1, le=3600, description="On a stop, calls under way may go on for this many seconds."
    )
    uvloop: bool = Field(True, description="Uses the faster event loop where it is installed.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.listen.strip():
            msg = "listen must name at least one address"
            raise ValueError(msg)
        addresses = f"{self.listen},{self.admin_listen}".split(",")
        if self.workers > 1 and any(address.strip().endswith(":0") for address in addresses):
            msg = "several workers need fixed ports; port 0 is for one worker"
            raise ValueError(msg)
        return self


class TlsSettings(_Area):
    """TLS of both listeners. Files are PEM, and are read again when they change."""

    certificate_file: Path | None = Field(None, description="Certificate chain of the server; unset: no TLS.")
    key_file: Path | None = Field(None, description="Private key of the certificate.")
    client_ca_file: Path | None = Field(None, description="Authorities whose client certificates are trusted (mTLS).")
    require_client_certificate: bool = Field(False, description="Refuses callers without a trusted certificate.")
    reload_seconds: float = Field(60, ge=0, description="The files are looked at again at most this often, in seconds.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            msg = "certificate_file and key_file go together; set both or neither"
            raise ValueError(msg)
        if self.certificate_file is None and (self.client_ca_file or self.require_client_certificate):
            msg = "client certificates need TLS: set certificate_file and key_file"
            raise ValueError(msg)
        if self.require_client_certificate and self.client_ca_file is None:
            msg = "require_client_certificate needs client_ca_file"
            raise ValueError(msg)
        missing = [
            str(path)
            for path in (self.certificate_file, self.key_file, self.client_ca_file)
            if path is not None and not path.is_file()
        ]
        if missing:
            msg = f"no such file: {', '.join(missing)}"
            raise ValueError(msg)
        return self


class RoutingSettings(_Area):
    """How models are chosen."""

    default_strategy: str = Field(DEFAULT_STRATEGY, description="Ranking strategy where a request names none.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.default_strategy not in known_strategies():
            msg = f"default_strategy must be one of {', '.join(sorted(known_strategies()))}"
            raise ValueError(msg)
        return self


class TimeoutSettings(_Area):
    """How long a provider may keep silent, step by step."""

    connect_seconds: float = Field(5, gt=0, le=600, description="Bound on connecting, in seconds.")
    first_byte_seconds: float = Field(120, gt=0, le=3600, description="Bound on the wait for a reply, in seconds.")
    gap_seconds: float = Field(60, gt=0, le=3600, description="Bound on a silence within a reply, in seconds.")


class ProviderSettings(_Area):
    """One provider, by its name. A name that is no adapter's needs `adapter`."""

    adapter: str = Field("", description="Kind of provider; `compatible` for any OpenAI-compatible server.")
    enabled: bool = Field(True, description="Whether the provider is used when it is configured.")
    api_key: SecretStr | None = Field(None, description="Key of the provider; better given by its variable.")
    api_key_env: str = Field("", description="Variable that holds the key; default: the vendor's usual one.")
    base_url: str = Field("", description="Address of the API; default: the vendor's own.")
    regions: tuple[str, ...] = Field((), description="Regions that its models run in.")
    extra_vendor_options: tuple[str, ...] = Field((), description="Further parameters that callers may pass through.")
    timeouts: TimeoutSettings = Field(TimeoutSettings(), description="How long it may keep silent.")
    models: tuple[ModelRow, ...] = Field((), description="Models beside, or in place of, those that are shipped.")


class LogSettings(_Area):
    """Logs, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="`json` lines, `console` lines for people, or `auto`: console on a terminal."
    )


class Settings(BaseSettings):
    """All settings of a service."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=DELIMITER, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    server: ServerSettings = Field(ServerSettings(), description="Listeners, transport, admission and drain.")
    tls: TlsSettings = Field(TlsSettings(), description="TLS of both listeners.")
    routing: RoutingSettings = Field(RoutingSettings(), description="How models are chosen.")
    providers: dict[str, ProviderSettings] = Field({}, description="Providers by name.")
    log: LogSettings = Field(LogSettings(), description="Logs.")

    # What the usual variables of vendors hold (OPENAI_API_KEY and so on); private, so that no repr shows it.
    _vendor_environment: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def vendor_environment(self) -> Mapping[str, str]:
        """Gives the vendors' usual variables, from the environment and .env."""
        return self._vendor_environment

    def take_vendor_environment(self, environment: Mapping[str, str]) -> None:
        """Keeps those variables that an adapter or a provider's setting names, and no other."""
        names = {name for kind in adapters().values() for name in (kind.key_variable, kind.base_url_variable)}
        names |= {chosen.api_key_env for chosen in self.providers.values()}
        self._vendor_environment = {name: environment[name] for name in names if environment.get(name)}

    @model_validator(mode="after")
    def _know_providers(self) -> Self:
        kinds = adapters()
        for name, chosen in self.providers.items():
            if chosen.adapter and chosen.adapter not in kinds:
                msg = f"providers.{name}.adapter must be one of {', '.join(kinds)}"
                raise ValueError(msg)
            if not chosen.adapter and name not in kinds:
                known = ", ".join(kinds)
                msg = f"providers.{name} is none of {known}; give it an adapter (compatible fits most servers)"
                raise ValueError(msg)
            if (chosen.adapter or name) == "compatible" and not chosen.base_url:
                msg = f"providers.{name} needs a base_url"
                raise ValueError(msg)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Orders the sources; see load_settings for where they come from."""
        del env_settings, dotenv_settings, file_secret_settings
        sources = _SOURCES.get()
        found: list[PydanticBaseSettingsSource] = [init_settings, _EnvironmentSource(settings_cls, sources[0])]
        if sources[1] is not None:
            found.append(TomlConfigSettingsSource(settings_cls, toml_file=sources[1]))
        return tuple(found)


# The environment over .env, and the TOML file, of the load under way.
_SOURCES: ContextVar[tuple[Mapping[str, str], Path | None]] = ContextVar("_SOURCES", default=(os.environ, None))


class _EnvironmentSource(EnvSettingsSource):
    """Reads variables from a given mapping instead of the process's own."""

    def __init__(self, settings_cls: type[BaseSettings], environment: Mapping[str, str]) -> None:
        self._given = {name.lower(): value for name, value in environment.items()}
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._given
