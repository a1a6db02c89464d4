"""Modes are presets: what is set wins over them, and a mode does not start without what it requires."""

from __future__ import annotations

from pathlib import Path

import pytest

from muxer_grpc import bootstrap
from muxer_grpc.modes import PRESETS, Mode
from muxer_grpc.settings import ClassifierSettings, Settings
from muxer_grpc.settings_modes import (
    REQUIREMENTS,
    PresetSetting,
    Requirements,
    missing_requirements,
    mode_problems,
    preset_settings,
)
from tests.rpc.service import CATALOGUE
from tests.unit.classifying import LEARNED, RULES
from tests.unit.given_settings import load, problems_of
from tests.unit.test_routing import asked

PRODUCTION = Settings(mode=Mode.PRODUCTION)
REQUIRED = PRESETS[Mode.PRODUCTION].requires


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the machine's own files out."""
    monkeypatch.chdir(tmp_path)


def all_but(*missing: str) -> Requirements:
    """Gives requirements of which all are met but these."""
    return {name: lambda _settings, met=name not in missing: met for name in REQUIREMENTS}


def test_without_a_mode_the_learned_classifier_decides() -> None:
    settings = load()
    assert settings.mode is Mode.ENHANCED
    assert settings.classifier_enabled


@pytest.mark.parametrize("source", ["environment", "dotenv", "toml"])
def test_a_mode_can_be_given_in_every_source(source: str) -> None:
    if source == "environment":
        settings = load({"MUXER_MODE": "basic"})
    elif source == "dotenv":
        settings = load(dotenv="MUXER_MODE=basic\n")
    else:
        settings = load(toml='mode = "basic"\n')
    assert settings.mode is Mode.BASIC
    assert not settings.classifier_enabled


def test_a_mode_that_is_none_is_refused_with_those_that_are() -> None:
    assert problems_of({"MUXER_MODE": "fast"}) == ["MUXER_MODE: Input should be 'basic', 'enhanced' or 'production'"]


@pytest.mark.parametrize("mode", ["basic", "enhanced"])
@pytest.mark.parametrize("value", ["true", "false"])
@pytest.mark.parametrize("toml", [False, True])
def test_an_explicit_setting_wins_over_the_mode_wherever_both_stand(mode: str, value: str, toml: bool) -> None:
    if toml:
        settings = load({"MUXER_MODE": mode}, toml=f"[classifier]\nenabled = {value}\n")
    else:
        settings = load({"MUXER_CLASSIFIER__ENABLED": value}, toml=f'mode = "{mode}"\n')
    assert settings.classifier_enabled is (value == "true")


@pytest.mark.parametrize("mode", [Mode.BASIC, Mode.ENHANCED])
def test_what_the_preset_sets_is_listed_with_its_value_and_whether_it_was_set_by_hand(mode: Mode) -> None:
    of_mode = mode is Mode.ENHANCED
    by_mode = PresetSetting("classifier.enabled", of_mode, of_mode, explicit=False)
    assert preset_settings(Settings(mode=mode)) == (by_mode,)
    by_hand = Settings(mode=mode, classifier=ClassifierSettings(enabled=not of_mode))
    assert preset_settings(by_hand) == (PresetSetting("classifier.enabled", not of_mode, of_mode, explicit=True),)


def test_production_is_refused_in_one_line_that_names_all_that_is_missing() -> None:
    assert problems_of({"MUXER_MODE": "production"}) == [
        "mode production needs what is not configured: authentication, PostgreSQL, Redis"
    ]


def test_what_production_lacks_is_told_with_every_other_problem() -> None:
    problems = problems_of({"MUXER_MODE": "production", "MUXER_NOPE": "1"})
    assert [problem.split()[0] for problem in problems] == ["MUXER_NOPE", "mode"]


@pytest.mark.parametrize("name", REQUIRED)
def test_only_what_is_missing_is_named(name: str) -> None:
    assert missing_requirements(PRODUCTION, all_but(name)) == (name,)
    assert mode_problems(PRODUCTION, all_but(name)) == [f"mode production needs what is not configured: {name}"]


def test_production_starts_once_everything_is_there() -> None:
    assert mode_problems(PRODUCTION, all_but()) == []


@pytest.mark.parametrize("mode", [Mode.BASIC, Mode.ENHANCED])
def test_the_other_modes_require_nothing(mode: Mode) -> None:
    assert mode_problems(Settings(mode=mode)) == []


def test_every_mode_has_a_preset_and_every_requirement_a_check() -> None:
    assert set(PRESETS) == set(Mode)
    assert {name for preset in PRESETS.values() for name in preset.requires} == set(REQUIREMENTS)


def test_by_rules_alone_the_learned_classifier_is_not_even_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError

    monkeypatch.setattr(bootstrap, "load_learned", refuse)
    bootstrap.assemble(CATALOGUE, {}, Settings(mode=Mode.BASIC))
    bootstrap.assemble(CATALOGUE, {}, Settings(classifier=ClassifierSettings(enabled=False)))
    with pytest.raises(AssertionError):
        bootstrap.assemble(CATALOGUE, {}, Settings(mode=Mode.BASIC, classifier=ClassifierSettings(enabled=True)))


def test_where_no_rule_holds_the_rules_say_that_they_guess() -> None:
    prompt = asked("Tell me about climate change")
    assert RULES.classify(prompt).confidence < Settings().classifier.low_confidence
    assert LEARNED.classify(prompt).confidence > Settings().classifier.direct_confidence
