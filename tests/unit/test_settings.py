"""Settings: where they come from, which source wins, and that no secret is told."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from muxer_grpc.providers.registry import adapters
from tests.unit.given_settings import SECRET, VLLM, load, problems_of


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the machine's own files and variables out."""
    monkeypatch.chdir(tmp_path)


# Sources


def test_nothing_need_be_set() -> None:
    settings = load()
    assert settings.server.listen == "127.0.0.1:50051"
    assert settings.server.admin_listen == "127.0.0.1:50052"
    assert settings.server.workers == 1
    assert settings.routing.default_strategy == "learned"
    assert settings.providers == {}


def test_a_variable_sets_what_its_name_says() -> None:
    settings = load({"MUXER_SERVER__WORKERS": "3", "MUXER_LOG__LEVEL": "debug"})
    assert (settings.server.workers, settings.log.level) == (3, "debug")


def test_a_variable_reaches_into_a_provider() -> None:
    settings = load({"MUXER_PROVIDERS__OPENAI__TIMEOUTS__CONNECT_SECONDS": "1.5"})
    assert settings.providers["openai"].timeouts.connect_seconds == 1.5


def test_the_file_env_is_read() -> None:
    assert load(dotenv="MUXER_SERVER__WORKERS=4\n").server.workers == 4


def test_other_lines_of_the_file_env_are_left_alone() -> None:
    assert load(dotenv="DATABASE_URL=x\nSERVER__WORKERS=9\n").server.workers == 1


def test_a_toml_file_is_read_with_its_models() -> None:
    provider = load(toml=VLLM).providers["vllm"]
    assert provider.adapter == "compatible"
    assert provider.regions == ("eu",)
    assert [row.name for row in provider.models] == ["qwen"]


def test_the_environment_goes_before_the_file_env_and_that_before_toml() -> None:
    toml = "[server]\nworkers = 2\nkeepalive_seconds = 200\nmax_concurrent_calls = 222\n"
    dotenv = "MUXER_SERVER__WORKERS=3\nMUXER_SERVER__KEEPALIVE_SECONDS=300\n"
    server = load({"MUXER_SERVER__WORKERS": "4"}, toml=toml, dotenv=dotenv).server
    assert (server.workers, server.keepalive_seconds, server.max_concurrent_calls) == (4, 300, 222)


def test_an_override_goes_before_every_source() -> None:
    settings = load({"MUXER_SERVER__WORKERS": "4"}, toml="[server]\nworkers = 2\n", server={"workers": 5})
    assert settings.server.workers == 5


def test_sources_add_to_one_provider() -> None:
    settings = load({"MUXER_PROVIDERS__VLLM__API_KEY": SECRET}, toml=VLLM)
    key = settings.providers["vllm"].api_key
    assert key is not None
    assert key.get_secret_value() == SECRET
    assert settings.providers["vllm"].base_url == "http://127.0.0.1:8000/v1"


def test_muxer_toml_of_the_working_directory_is_read_unasked() -> None:
    Path("muxer.toml").write_text("[server]\nworkers = 6\n")
    assert load().server.workers == 6


@pytest.mark.parametrize("place", ["environment", "dotenv"])
def test_muxer_config_names_the_toml_file(place: str) -> None:
    Path("other.toml").write_text("[server]\nworkers = 7\n")
    Path("muxer.toml").write_text("[server]\nworkers = 6\n")
    if place == "environment":
        settings = load({"MUXER_CONFIG": "other.toml"})
    else:
        settings = load(dotenv="MUXER_CONFIG=other.toml\n")
    assert settings.server.workers == 7


def test_a_file_given_by_hand_goes_before_muxer_config() -> None:
    settings = load({"MUXER_CONFIG": "not-there.toml"}, toml="[server]\nworkers = 8\n")
    assert settings.server.workers == 8


def test_the_process_environment_is_not_read_beside_the_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUXER_SERVER__WORKERS", "9")
    assert load({}).server.workers == 1


# Providers
def test_a_strategy_that_does_not_exist_is_refused_with_those_that_do() -> None:
    (problem,) = problems_of({"MUXER_ROUTING__DEFAULT_STRATEGY": "magic"})
    assert "must be one of" in problem
    assert "heuristic" in problem


def test_a_provider_of_no_known_kind_is_refused() -> None:
    (problem,) = problems_of({"MUXER_PROVIDERS__OPNAI__API_KEY": SECRET})
    assert problem.startswith("providers.opnai is none of ")
    assert "openai" in problem


def test_an_adapter_that_does_not_exist_is_refused() -> None:
    (problem,) = problems_of(toml=VLLM.replace('"compatible"', '"compatble"'))
    assert problem.startswith("providers.vllm.adapter must be one of ")


def test_any_server_needs_its_address() -> None:
    assert problems_of(toml='[providers.vllm]\nadapter = "compatible"\n') == ["providers.vllm needs a base_url"]


@pytest.mark.parametrize("name", sorted(adapters()))
def test_every_adapter_can_be_set_up_by_its_own_name(name: str) -> None:
    settings = load({f"MUXER_PROVIDERS__{name.upper()}__BASE_URL": "http://127.0.0.1:1/v1"})
    assert list(settings.providers) == [name]


# Keys


@pytest.mark.parametrize("source", ["environment", "dotenv"])
def test_usual_variables_of_vendors_are_kept(source: str) -> None:
    variables = {"OPENAI_API_KEY": SECRET, "OLLAMA_BASE_URL": "http://127.0.0.1:1"}
    if source == "environment":
        settings = load(variables)
    else:
        settings = load(dotenv="".join(f"{name}={value}\n" for name, value in variables.items()))
    assert settings.vendor_environment == variables


def test_the_environment_goes_before_the_file_env_for_vendors_too() -> None:
    settings = load({"OPENAI_API_KEY": "of-the-environment"}, dotenv="OPENAI_API_KEY=of-the-file\n")
    assert settings.vendor_environment == {"OPENAI_API_KEY": "of-the-environment"}


def test_a_variable_named_by_api_key_env_is_kept() -> None:
    settings = load({"MUXER_PROVIDERS__OPENAI__API_KEY_ENV": "TEAM_KEY", "TEAM_KEY": SECRET})
    assert settings.vendor_environment == {"TEAM_KEY": SECRET}


def test_variables_that_nobody_names_are_not_kept() -> None:
    assert load({"AWS_SECRET_ACCESS_KEY": SECRET, "OPENAI_API_KEY": ""}).vendor_environment == {}


def test_no_text_of_settings_tells_a_key() -> None:
    settings = load({"OPENAI_API_KEY": SECRET, "MUXER_PROVIDERS__XAI__API_KEY": SECRET})
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize("variable", ["API_KEI", "BASE_URL__X", "ENABLED", "MODELS", "REGIONS", "TIMEOUTS"])
def test_no_problem_tells_what_was_given(variable: str) -> None:
    problems = problems_of({f"MUXER_PROVIDERS__OPENAI__{variable}": SECRET, "MUXER_SERVER__WORKERS": SECRET})
    assert SECRET not in " ".join(problems)


def test_settings_reach_a_worker_with_their_keys() -> None:
    settings = load({"OPENAI_API_KEY": SECRET, "MUXER_PROVIDERS__XAI__API_KEY": SECRET}, toml=VLLM)
    worker = pickle.loads(pickle.dumps(settings))
    assert worker == settings
    assert worker.vendor_environment == {"OPENAI_API_KEY": SECRET}
    assert worker.providers["xai"].api_key.get_secret_value() == SECRET


def test_settings_do_not_change() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.server.workers = 2  # type: ignore[misc]
