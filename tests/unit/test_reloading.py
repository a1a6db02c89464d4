"""A configuration that is read again: what is taken over, what waits for a restart, and one that is wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from muxer_grpc.reloading import TAKEN_OVER, Reloading, changed, merged
from muxer_grpc.settings import Settings
from muxer_grpc.settings_loading import known_names, load_settings


def written(folder: Path, toml: str, **environment: str) -> Settings:
    path = folder / "muxer.toml"
    path.write_text(toml)
    return load_settings(path, None, environment)


def reloading(folder: Path, toml: str = "") -> Reloading:
    path = folder / "muxer.toml"
    return Reloading(written(folder, toml), lambda: load_settings(path, None, {}))


def rewrite(folder: Path, toml: str) -> None:
    (folder / "muxer.toml").write_text(toml)


def test_a_file_that_breaks_its_parser_leaves_the_previous_configuration(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = reloading(tmp_path)
    before = held.in_force
    rewrite(tmp_path, "a = " + "[" * 100_000)
    assert held.reload() is None
    assert held.in_force is before
    assert "the previous one stays" in caplog.text


def test_every_name_that_is_taken_over_is_one_of_settings() -> None:
    names = known_names()
    for path in TAKEN_OVER:
        assert any(name == path or name.startswith(f"{path}.") for name in names), path


def test_what_needs_no_restart_is_taken_over_and_what_does_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    held = reloading(tmp_path)
    rewrite(
        tmp_path,
        """
        [routing]
        default_strategy = "cost"
        decision_seconds = 7
        [resilience]
        max_attempts = 2
        [resilience.breaker]
        open_seconds = 3
        [load]
        tenant_factor = 2
        [classifier]
        low_confidence = 0.1
        direct_confidence = 0.9
        [rate_limits]
        key_requests_per_minute = 60
        redis_timeout_seconds = 1
        [log]
        level = "debug"
        format = "json"
        [server]
        listen = "127.0.0.1:7"
        [providers.openai]
        api_key = "sk-secret"
        """,
    )
    settings = held.reload()
    assert settings is held.in_force
    assert settings is not None
    assert (settings.routing.default_strategy, settings.routing.decision_seconds) == ("cost", 300)
    assert (settings.resilience.max_attempts, settings.resilience.breaker.open_seconds) == (2, 3)
    assert settings.load.tenant_factor == 2
    assert (settings.classifier.low_confidence, settings.classifier.direct_confidence) == (0.1, 0.9)
    assert settings.rate_limits.key_requests_per_minute == 60
    assert settings.rate_limits.redis_timeout_seconds == 0.5
    assert (settings.log.level, settings.log.format) == ("debug", "auto")
    assert settings.server.listen == "127.0.0.1:50051"
    [line] = [record.getMessage() for record in caplog.records]
    now, _, later = line.partition("; after a restart: ")
    assert set(now.partition("in force: ")[2].split(", ")) == {
        "routing.default_strategy",
        "resilience.max_attempts",
        "resilience.breaker.open_seconds",
        "load.tenant_factor",
        "classifier.low_confidence",
        "classifier.direct_confidence",
        "rate_limits.key_requests_per_minute",
        "log.level",
    }
    assert set(later.split(", ")) == {
        "routing.decision_seconds",
        "rate_limits.redis_timeout_seconds",
        "log.format",
        "server.listen",
        "providers.openai",
    }
    assert "sk-secret" not in caplog.text


def test_what_waits_for_a_restart_is_told_each_time_and_what_is_in_force_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    held = reloading(tmp_path)
    rewrite(tmp_path, '[server]\nlisten = "127.0.0.1:7"\n[routing]\ndefault_strategy = "cost"')
    held.reload()
    held.reload()
    assert [record.getMessage() for record in caplog.records] == [
        "the configuration was read again; in force: routing.default_strategy; after a restart: server.listen",
        "the configuration was read again; in force: nothing new; after a restart: server.listen",
    ]


def test_a_wrong_configuration_is_refused_whole_with_all_its_problems_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = reloading(tmp_path, '[routing]\ndefault_strategy = "cost"')
    before = held.in_force
    rewrite(
        tmp_path, '[routing]\ndefault_strategy = "luck"\n[resilience]\nmax_attempts = 0\ncolour = 1\nretry_share=0.5'
    )
    assert held.reload() is None
    assert held.in_force is before
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("the configuration is refused, the previous one stays: ")
    for told in ("routing.default_strategy", "resilience.max_attempts", "resilience.colour is not a setting"):
        assert told in line
    rewrite(tmp_path, '[routing]\ndefault_strategy = "performance"')
    assert held.reload() is not None


@pytest.mark.parametrize("broken", ["gone", "no TOML", "unreadable"])
def test_a_file_that_cannot_be_read_leaves_the_previous_configuration(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = reloading(tmp_path, '[routing]\ndefault_strategy = "cost"')
    path = tmp_path / "muxer.toml"
    if broken == "gone":
        path.unlink()
    elif broken == "no TOML":
        path.write_text("[routing")
    else:

        def refused(*_arguments: object, **_options: object) -> str:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_text", refused)
    assert held.reload() is None
    assert held.in_force.routing.default_strategy == "cost"
    assert "the previous one stays" in caplog.text


def test_keys_of_vendors_that_changed_are_told_by_their_names_alone(tmp_path: Path) -> None:
    before = written(tmp_path, "", OPENAI_API_KEY="sk-old")
    after = written(tmp_path, "", OPENAI_API_KEY="sk-new", MISTRAL_API_KEY="m")
    assert changed(before, after) == ["MISTRAL_API_KEY", "OPENAI_API_KEY"]
    assert merged(before, after).vendor_environment == {"OPENAI_API_KEY": "sk-old"}


def test_settings_of_named_providers_are_told_apart(tmp_path: Path) -> None:
    one = '[providers.mine]\nadapter = "compatible"\nbase_url = "http://127.0.0.1:1/v1"\n'
    before = written(tmp_path, one)
    after = written(
        tmp_path, one.replace(":1/", ":2/") + '[providers.other]\nadapter = "compatible"\nbase_url = "http://x"'
    )
    assert changed(before, after) == ["providers.mine.base_url", "providers.other"]
