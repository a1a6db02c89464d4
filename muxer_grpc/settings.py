"""All settings, by area. Sources, the first wins: environment (MUXER_, nested by __), .env, a TOML file, defaults."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from muxer_grpc.domain.routing.ranking import DEFAULT_STRATEGY, known_strategies
from muxer_grpc.modes import PRESETS, Mode
from muxer_grpc.providers.base_urls import check_key, checked_base_url
from muxer_grpc.providers.model_rows import ModelRow
from muxer_grpc.providers.registry import adapters
from muxer_grpc.settings_addresses import UNIX, checked_addresses, split_addresses
from muxer_grpc.settings_alerts import AlertSettings
from muxer_grpc.settings_budgets import BudgetSettings
from muxer_grpc.settings_cache import CacheSettings, cache_redis_url
from muxer_grpc.settings_classifier import ClassifierSettings
from muxer_grpc.settings_identity import IdentitySettings, check_exposure
from muxer_grpc.settings_leases import MoneyLeaseSettings
from muxer_grpc.settings_load import LoadSettings
from muxer_grpc.settings_ops import OpsSettings
from muxer_grpc.settings_prices import PriceSettings
from muxer_grpc.settings_rate_limits import RateLimitSettings
from muxer_grpc.settings_resilience import ResilienceSettings
from muxer_grpc.settings_storage import StorageSettings

PREFIX = "MUXER_"
DELIMITER = "__"
PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")

# A day: longer times overflow in gRPC, and mean nothing here.
DAY = 86_400.0
MOST = 1_000_000

Seconds = Annotated[float, Field(ge=0, le=DAY, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=MOST)]
Addresses = Annotated[str, AfterValidator(checked_addresses)]
Words = tuple[str, ...]


def _check_url(url: str) -> str:
    return checked_base_url(url) if url else url


def _check_secret(secret: SecretStr) -> SecretStr:
    check_key(secret.get_secret_value())
    return secret


Secret = Annotated[SecretStr, AfterValidator(_check_secret)]


def _check_strategy(name: str) -> str:
    if name not in known_strategies():
        msg = f"it must be one of {', '.join(sorted(known_strategies()))}"
        raise ValueError(msg)
    return name


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
    keepalive_seconds: Seconds = Field(120, ge=10, description="Interval of the server's pings, in seconds.")
    min_client_ping_interval_seconds: Seconds = Field(
        30,
        ge=1,
        le=DAY,
        allow_inf_nan=False,
        description="Callers that ping more often than this many seconds are sent away.",
    )
    max_connection_age_seconds: Seconds = Field(
        600,
        ge=0,
        le=DAY,
        allow_inf_nan=False,
        description="Connections are renewed after this many seconds, so that load spreads; 0: never.",
    )
    max_connection_age_grace_seconds: Seconds = Field(
        600,
        ge=0,
        le=DAY,
        allow_inf_nan=False,
        description="Calls on a connection that is renewed may go on for this many seconds; 0: for ever.",
    )
    max_connection_idle_seconds: Seconds = Field(
        600,
        ge=0,
        le=DAY,
        allow_inf_nan=False,
        description="Idle connections are closed after this many seconds; 0: never.",
    )
    max_concurrent_streams: Count = Field(1_000, description="Calls at once on one connection; more wait there.")
    max_concurrent_calls: Count = Field(2_000, description="Unary calls at once in a process; more are shed.")
    max_concurrent_stream_calls: Count = Field(1_000, description="Streams at once in a process; more are shed.")
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
    batch_scheduling: bool = Field(
        True,
        description="Lets no thread take a core from another one as it wakes up (Linux): less CPU for each call. "
        "Switch it off where busy programs share the cores.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        data, admin = split_addresses(self.listen), split_addresses(self.admin_listen)
        twice = [address for address in admin if address in data and not address.endswith(":0")]
        problem = ""
        if not data:
            problem = "listen must name at least one address"
        elif twice:
            problem = f"listen and admin_listen share {twice[0]}; give each its own"
        elif self.workers > 1 and any(address.endswith(":0") for address in (*data, *admin)):
            problem = "several workers need fixed ports; port 0 is for one worker"
        elif self.workers > 1 and any(address.startswith(UNIX) for address in (*data, *admin)):
            problem = "several workers cannot share a unix socket; give them a port, or use one worker"
        if problem:
            raise ValueError(problem)
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
        if self.require_client_certificate != (self.client_ca_file is not None):
            msg = "require_client_certificate needs client_ca_file, which has no effect without it"
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

    default_strategy: Annotated[str, AfterValidator(_check_strategy)] = Field(
        DEFAULT_STRATEGY, description="Ranking strategy where a request names none."
    )
    decision_seconds: Seconds = Field(
        300, description="How long Complete takes up a decision of Route by its id, in seconds; 0: not at all."
    )


class CatalogueSettings(_Area):
    """The models that can be chosen, beyond what providers say of theirs."""

    profiles_file: Path | None = Field(
        None,
        description="File that keeps changed model profiles, shared by all workers; unset: changes are in memory "
        "and of one process.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        path = self.profiles_file
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            msg = "profiles_file must be a file, there or not yet, in a folder that is there"
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
    api_key: Secret | None = Field(None, description="Key of the provider; better given by its variable.")
    api_key_env: str = Field("", description="Variable that holds the key; default: the vendor's usual one.")
    base_url: Annotated[str, AfterValidator(_check_url)] = Field(
        "", description="Address of the API; default: the vendor's own."
    )
    regions: Words = Field((), description="Regions that its models run in.")
    extra_vendor_options: Words = Field(
        (), description="Further parameters that callers may pass through; one that changes prices makes costs wrong."
    )
    timeouts: TimeoutSettings = Field(TimeoutSettings(), description="How long it may keep silent.")
    propagate_trace: bool = Field(
        False, description="Sends the context of traces (`traceparent`) on to it; right for servers of your own."
    )
    models: tuple[ModelRow, ...] = Field((), description="Models beside, or in place of, those that are shipped.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.api_key is not None and self.api_key_env:
            msg = "api_key and api_key_env both give the key; keep one"
            raise ValueError(msg)
        return self


class LogSettings(_Area):
    """Logs, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="`json` lines, `console` lines for people, or `auto`: console on a terminal."
    )
    calls: bool = Field(True, description="Writes a line for each call, without anything of its content.")


class Settings(BaseSettings):
    """All settings of a service."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=DELIMITER, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    server: ServerSettings = Field(ServerSettings(), description="Listeners, transport, admission and drain.")
    tls: TlsSettings = Field(TlsSettings(), description="TLS of both listeners.")
    identity: IdentitySettings = Field(IdentitySettings(), description="How callers prove who they are.")
    mode: Mode = Field(
        Mode.ENHANCED, description="Preset: basic (rules, memory), enhanced (learned classifier), production."
    )
    routing: RoutingSettings = Field(RoutingSettings(), description="How models are chosen.")
    classifier: ClassifierSettings = Field(ClassifierSettings(), description="How prompts are classified.")
    catalogue: CatalogueSettings = Field(CatalogueSettings(), description="The models that can be chosen.")
    providers: dict[str, ProviderSettings] = Field({}, description="Providers by name.")
    prices: PriceSettings = Field(PriceSettings(), description="What models cost.")
    resilience: ResilienceSettings = Field(ResilienceSettings(), description="How failures are survived.")
    load: LoadSettings = Field(LoadSettings(), description="Which calls are shed under load.")
    storage: StorageSettings = Field(StorageSettings(), description="The database and what is kept in it.")
    budgets: BudgetSettings = Field(BudgetSettings(), description="The budgets that new users have.")
    money_leases: MoneyLeaseSettings = Field(
        MoneyLeaseSettings(), description="Money that callers hold for many calls together."
    )
    alerts: AlertSettings = Field(AlertSettings(), description="Whom to tell of budgets that are nearly spent.")
    rate_limits: RateLimitSettings = Field(RateLimitSettings(), description="Requests and tokens per minute.")
    cache: CacheSettings = Field(CacheSettings(), description="Answers that are kept and given again.")
    log: LogSettings = Field(LogSettings(), description="Logs.")
    ops: OpsSettings = Field(OpsSettings(), description="HTTP for operators.")

    # What the usual variables of vendors hold (OPENAI_API_KEY and so on); private, so that no repr shows it.
    _vendor_environment: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def classifier_enabled(self) -> bool:
        """Tells whether the learned classifier decides: its own setting, or else the mode's."""
        return PRESETS[self.mode].learned_classifier if self.classifier.enabled is None else self.classifier.enabled

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
    def _guarded(self) -> Self:
        server, certificates = self.server, self.tls.require_client_certificate
        check_exposure(self.identity, listen=server.listen, admin_listen=server.admin_listen, certificates=certificates)
        cache_redis_url(self.cache, self.rate_limits)
        return self

    @field_validator("providers")
    @classmethod
    def _know_providers(cls, providers: dict[str, ProviderSettings]) -> dict[str, ProviderSettings]:
        kinds = adapters()
        for name, chosen in providers.items():
            kind = chosen.adapter or name
            problem = ""
            if not PROVIDER_NAME.fullmatch(name):
                problem = f"providers.{name!r} is no name for a provider; use a to z, 0 to 9, _ and -"
            elif kind not in kinds:
                close = difflib.get_close_matches(kind, kinds, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                what = f"{name}.adapter must be one" if chosen.adapter else f"{name} is none"
                problem = f"providers.{what} of {', '.join(kinds)}{hint} (adapter = compatible fits most servers)"
            elif kind == "compatible" and not chosen.base_url:
                problem = f"providers.{name} needs a base_url"
            if problem:
                raise ValueError(problem)
        return providers

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
        sources = _SOURCES.get(({}, None))
        found: list[PydanticBaseSettingsSource] = [init_settings, _EnvironmentSource(settings_cls, sources[0])]
        if sources[1] is not None:
            found.append(TomlConfigSettingsSource(settings_cls, toml_file=sources[1]))
        return tuple(found)


# The environment over .env, and the TOML file, of the load under way.
# Outside of load_settings there are none: the constructor reads nothing behind its caller's back.
_SOURCES: ContextVar[tuple[Mapping[str, str], Path | None]] = ContextVar("_SOURCES")


class _EnvironmentSource(EnvSettingsSource):
    """Reads variables from a given mapping instead of the process's own."""

    def __init__(self, settings_cls: type[BaseSettings], environment: Mapping[str, str]) -> None:
        self._given = {name.lower(): value for name, value in environment.items()}
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._given

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Reads JSON, or a list with commas. What is neither stays text, and its field's check tells so."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            if field is not None and field.annotation == Words and value[:1] != "[":
                return split_addresses(value)
            return value
