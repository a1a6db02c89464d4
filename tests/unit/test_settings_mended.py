"""Settings that were once taken and broke something later, or were refused without saying why."""

from __future__ import annotations

from pathlib import Path

import pytest

from muxer_grpc.settings import Settings
from muxer_grpc.settings_loading import SettingsError, load_settings
from tests.unit.given_settings import load, problems_of


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["KEEPALIVE_SECONDS", "MAX_CONNECTION_AGE_SECONDS", "MAX_CONNECTION_IDLE_SECONDS"])
@pytest.mark.parametrize("value", ["inf", "1e12"])
def test_times_that_grpc_cannot_take_are_refused(name: str, value: str) -> None:
    problems_of({f"MUXER_SERVER__{name}": value})


def test_counts_that_grpc_cannot_take_are_refused() -> None:
    problems_of({"MUXER_SERVER__MAX_CONCURRENT_STREAMS": "99999999999999"})


def test_a_list_of_commas_is_no_address() -> None:
    problems_of({"MUXER_SERVER__LISTEN": ",,"})


def test_an_ipv6_address_needs_brackets() -> None:
    problems_of({"MUXER_SERVER__LISTEN": "::1:50051"})


def test_a_socket_path_that_the_kernel_cannot_keep_is_refused() -> None:
    problems_of({"MUXER_SERVER__LISTEN": "unix:/" + "a" * 120})


def test_several_workers_cannot_share_a_unix_socket() -> None:
    problems_of({"MUXER_SERVER__WORKERS": "2", "MUXER_SERVER__LISTEN": "unix:/run/muxer.sock"})


def test_both_listeners_on_one_address_are_refused() -> None:
    problems_of({"MUXER_SERVER__LISTEN": "127.0.0.1:50052"})


def test_toml_that_is_not_utf8_is_refused() -> None:
    Path("x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError):
        load_settings(Path("x.toml"), None, {})


def test_env_file_that_is_not_utf8_is_refused() -> None:
    Path(".env").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(SettingsError):
        load_settings(None, Path(".env"), {})


def test_lines_of_the_env_file_that_are_none_are_refused() -> None:
    problems_of(dotenv="MUXER_SERVER__WORKERS\n=x\n")


def test_names_in_the_toml_file_keep_their_case() -> None:
    problems_of(toml="[Server]\nworkers = 2\n")


def test_bad_json_does_not_hide_the_other_problems() -> None:
    problems = problems_of({"MUXER_PROVIDERS__OPENAI__MODELS": "[{", "MUXER_SERVER__WORKERS": "0"})
    assert any("MODELS" in problem for problem in problems)
    assert any("WORKERS" in problem for problem in problems)


def test_bad_toml_does_not_hide_the_other_problems() -> None:
    assert len(problems_of({"MUXER_SERVER__WORKERS": "0"}, toml="x = ")) == 2


def test_an_unknown_provider_is_told_beside_other_problems_with_the_nearest_name() -> None:
    problems = problems_of({"MUXER_PROVIDERS__OPNAI__ENABLED": "1", "MUXER_SERVER__WORKERS": "0"})
    assert any("opnai" in problem and "did you mean" in problem for problem in problems)


def test_a_strategy_is_refused_beside_other_problems_under_its_own_name() -> None:
    (problem,) = problems_of({"MUXER_ROUTING__DEFAULT_STRATEGY": "magic"})
    assert problem.startswith("MUXER_ROUTING__DEFAULT_STRATEGY")


def test_a_variable_is_told_by_its_own_name() -> None:
    (problem,) = problems_of({"MUXER_SERVER__WORKRS": "2"})
    assert "MUXER_SERVER__WORKRS" in problem
    assert "MUXER_SERVER__WORKERS" in problem


def test_a_hint_names_the_provider_and_not_a_placeholder() -> None:
    (problem,) = problems_of({"MUXER_PROVIDERS__OPENAI__API_KEI": "x"})
    assert "NAME" not in problem


def test_a_list_can_be_given_with_commas() -> None:
    assert load({"MUXER_PROVIDERS__OPENAI__REGIONS": "eu,us"}).providers["openai"].regions == ("eu", "us")


def test_kubernetes_service_links_do_not_stop_the_service() -> None:
    load(
        {
            "MUXER_SERVICE_HOST": "10.0.0.1",
            "MUXER_SERVICE_PORT": "50051",
            "MUXER_PORT": "tcp://10.0.0.1:50051",
            "MUXER_PORT_50051_TCP": "tcp://10.0.0.1:50051",
            "MUXER_PORT_50051_TCP_PROTO": "tcp",
            "MUXER_PORT_50051_TCP_PORT": "50051",
            "MUXER_PORT_50051_TCP_ADDR": "10.0.0.1",
        }
    )


@pytest.mark.parametrize("url", ["nonsense", "ftp://x/v1", "http://user:pass@host/v1", "http://host:99999/v1"])
@pytest.mark.parametrize("variable", ["MUXER_PROVIDERS__OPENAI__BASE_URL", "OPENAI_BASE_URL"])
def test_a_base_url_that_is_none_is_refused_by_the_name_of_its_setting(url: str, variable: str) -> None:
    problems_of({variable: url})


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-\u00e4", "two words"])
def test_a_key_that_cannot_stand_in_a_header_is_refused(key: str) -> None:
    problems_of({"OPENAI_API_KEY": key})


def test_a_provider_name_is_a_name() -> None:
    problems_of(toml='[providers."a/b"]\nadapter = "compatible"\nbase_url = "http://127.0.0.1:1"\n')


def test_the_constructor_reads_nothing_behind_its_callers_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUXER_SERVER__WORKERS", "7")
    assert Settings().server.workers == 1


def test_a_key_is_given_once() -> None:
    problems_of({"MUXER_PROVIDERS__OPENAI__API_KEY": "a", "MUXER_PROVIDERS__OPENAI__API_KEY_ENV": "B"})
