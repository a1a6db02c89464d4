"""Settings that change at run time: what they may be, and what is set over what is configured."""

from __future__ import annotations

from typing import Any

import annotated_types
import pytest

from muxer_grpc.bootstrap_control import runtime_settings
from muxer_grpc.domain.overrides import RUNTIME, Override
from muxer_grpc.domain.resilience.attempts import AttemptRules
from muxer_grpc.domain.resilience.breaker import BreakerRules
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.runtime import PATHS, RANGES, RuntimeSettings
from muxer_grpc.pipeline.failover import Resilience
from muxer_grpc.pipeline.runtime_control import RuntimeControl
from muxer_grpc.settings import RoutingSettings, Settings
from muxer_grpc.settings_resilience import BreakerSettings, ResilienceSettings
from tests.rpc.service import CATALOGUE

# By path: the setting of the configuration that it stands over.
CONFIGURED = {
    "breaker.consecutive_failures": (BreakerSettings, "consecutive_failures"),
    "breaker.failure_share": (BreakerSettings, "failure_share"),
    "breaker.least_calls": (BreakerSettings, "least_calls"),
    "breaker.window": (BreakerSettings, "window_seconds"),
    "breaker.open_time": (BreakerSettings, "open_seconds"),
    "breaker.most_open_time": (BreakerSettings, "most_open_seconds"),
    "attempts.max_attempts": (ResilienceSettings, "max_attempts"),
    "attempts.max_attempts_per_model": (ResilienceSettings, "max_attempts_per_model"),
    "attempts.first_wait": (ResilienceSettings, "first_wait_seconds"),
    "attempts.most_wait": (ResilienceSettings, "most_wait_seconds"),
    "attempts.first_token_time": (ResilienceSettings, "first_token_seconds"),
    "attempts.gap_time": (ResilienceSettings, "gap_seconds"),
    "retry_share": (ResilienceSettings, "retry_share"),
    "hedge_share": (ResilienceSettings, "hedge_share"),
}


@pytest.mark.parametrize("path", RANGES)
def test_what_may_be_set_at_run_time_may_be_configured_and_the_other_way_round(path: str) -> None:
    area, name = CONFIGURED[path]
    field = area.model_fields[name]
    bounds: dict[str, Any] = {}
    for each in field.metadata:
        for kind in ("ge", "gt", "le"):
            if isinstance(each, getattr(annotated_types, kind.capitalize())):
                bounds[kind] = getattr(each, kind)
    known = RANGES[path]
    assert bounds == {("gt" if known.open else "ge"): known.least, "le": known.most}
    assert known.whole is (field.annotation is int)


def test_the_defaults_at_run_time_are_those_of_the_configuration() -> None:
    assert runtime_settings(Settings()) == RuntimeSettings()


def test_every_setting_is_read_from_the_configuration() -> None:
    odd = {name: field.default for name, field in ResilienceSettings.model_fields.items()}
    odd |= {"max_attempts": 7, "max_attempts_per_model": 3, "first_wait_seconds": 0.5, "most_wait_seconds": 5.0}
    odd |= {"first_token_seconds": 9.0, "gap_seconds": 11.0, "retry_share": 0.4, "hedge_share": 0.1}
    odd["breaker"] = BreakerSettings(
        enabled=False,
        consecutive_failures=9,
        failure_share=0.25,
        least_calls=8,
        window_seconds=70.0,
        open_seconds=6.0,
        most_open_seconds=60.0,
    )
    settings = Settings(routing=RoutingSettings(default_strategy="cost"), resilience=ResilienceSettings(**odd))
    plain = RuntimeSettings().values()
    read = runtime_settings(settings).values()
    assert {path for path in PATHS if read[path] == plain[path]} == {"weights"}
    assert read["breaker.window"] == 70.0
    assert read["attempts.gap_time"] == 11.0


def test_what_is_overridden_is_in_place_of_what_is_configured_and_nothing_else() -> None:
    values = {"default_strategy": "cost", "weights": {"cost": 1.0}, "breaker.enabled": False, "retry_share": 0}
    values |= {"breaker.open_time": 1, "attempts.max_attempts": 2}
    assert RuntimeSettings().overridden(values) == RuntimeSettings(
        default_strategy="cost",
        weights=Weights(cost=1.0),
        breakers=BreakerRules(open_seconds=1),
        breakers_enabled=False,
        attempts=AttemptRules(most_attempts=2),
        retry_share=0,
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("default_strategy", "luck"),
        ("default_strategy", ["cost"]),
        ("weights", {}),
        ("weights", {"cost": 0.0}),
        ("weights", {"beauty": 1.0}),
        ("weights", {"cost": -1.0, "quality": 2.0}),
        ("weights", {"cost": True}),
        ("weights", 3),
        ("breaker.enabled", 1),
        ("breaker.open_time", 0),
        ("breaker.open_time", "5"),
        ("breaker.open_time", float("nan")),
        ("attempts.max_attempts", 2.5),
        ("attempts.max_attempts", True),
        ("attempts.max_attempts", 11),
        ("retry_share", -0.1),
        ("later", 1),
    ],
)
def test_what_cannot_be_a_setting_is_refused(path: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{path} cannot be"):
        RuntimeSettings().overridden({path: value})


def control() -> tuple[RuntimeControl, Resilience, Fleet]:
    fleet, resilience = Fleet(CATALOGUE), Resilience()
    return RuntimeControl(RuntimeSettings(), fleet, resilience), resilience, fleet


def kept(revision: int, **values: object) -> Override:
    return Override(RUNTIME, {name.replace("__", "."): value for name, value in values.items()}, revision)


def test_an_override_holds_over_a_configuration_that_changes_and_what_is_not_overridden_follows_it() -> None:
    runtime, resilience, _ = control()
    runtime.take_over(kept(1, attempts__max_attempts=2))
    runtime.reconfigure(RuntimeSettings(attempts=AttemptRules(most_attempts=9, gap_seconds=3.0)))
    assert resilience.rules == AttemptRules(most_attempts=2, gap_seconds=3.0)
    runtime.take_over(kept(2))
    assert resilience.rules.most_attempts == 9


def test_what_another_version_has_set_is_told_and_what_was_in_force_stays(caplog: pytest.LogCaptureFixture) -> None:
    runtime, resilience, _ = control()
    runtime.take_over(kept(1, attempts__max_attempts=2))
    runtime.take_over(kept(2, attempts__max_attempts=3, later=1))
    assert resilience.rules.most_attempts == 2
    assert "the runtime settings of revision 2 are refused" in caplog.text


def test_the_same_revision_is_put_in_force_once() -> None:
    runtime, _, fleet = control()
    runtime.take_over(kept(1, default_strategy="cost"))
    router = fleet.router
    runtime.take_over(kept(1, default_strategy="cost"))
    assert fleet.router is router
