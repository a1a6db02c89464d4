"""Settings that are unknown, out of bounds, contradictory or dangerous are refused, all at once and in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import annotated_types
import pytest

from muxer_grpc.settings import Settings
from muxer_grpc.settings_addresses import is_loopback
from muxer_grpc.settings_loading import SettingsError, leaves, variable_of
from tests.unit.given_settings import SECRET, VLLM, load, problems_of


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the machine's own files and variables out."""
    monkeypatch.chdir(tmp_path)


def test_a_missing_file_that_was_asked_for_is_refused_by_its_name() -> None:
    assert problems_of({"MUXER_CONFIG": "not-there.toml"}) == ["there is no configuration file not-there.toml"]


def test_broken_toml_is_refused_with_its_place() -> None:
    (problem,) = problems_of(toml="[server]\nworkers = \n")
    assert "given.toml" in problem
    assert "line 2" in problem


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MUXER_SERVR__LISTEN", "MUXER_SERVER__LISTEN"),
        ("MUXER_SERVER_LISTEN", "MUXER_SERVER__LISTEN"),
        ("MUXER_LOGS__LEVEL", "MUXER_LOG__LEVEL"),
    ],
)
def test_a_variable_of_no_area_is_refused_with_the_nearest_name(name: str, meant: str) -> None:
    assert problems_of({name: "x"}) == [f"{name} is not a setting; did you mean {meant}?"]


@pytest.mark.parametrize("source", ["environment", "dotenv", "toml"])
def test_an_unknown_name_within_an_area_is_refused_with_the_nearest_name(source: str) -> None:
    if source == "environment":
        (problem,) = problems_of({"MUXER_SERVER__WORKRS": "2"})
    elif source == "dotenv":
        (problem,) = problems_of(dotenv="MUXER_SERVER__WORKRS=2\n")
    else:
        (problem,) = problems_of(toml="[server]\nworkrs = 2\n")
    names = ("server.workrs", "server.workers")
    given, meant = names if source == "toml" else map(variable_of, names)
    assert problem == f"{given} is not a setting; did you mean {meant}?"


def test_an_unknown_name_within_a_provider_is_refused() -> None:
    (problem,) = problems_of({"MUXER_PROVIDERS__OPENAI__API_KEI": SECRET})
    assert problem.startswith(
        "MUXER_PROVIDERS__OPENAI__API_KEI is not a setting; did you mean MUXER_PROVIDERS__OPENAI__API_KEY"
    )


def test_an_unknown_name_within_a_model_is_refused() -> None:
    (problem,) = problems_of(toml=VLLM + "\ncontxt_window = 3\n")
    assert problem.startswith("providers.vllm.models.0.contxt_window is not a setting")


def test_an_unknown_table_of_the_toml_file_is_refused() -> None:
    assert problems_of(toml="[nope]\nx = 1\n") == ["nope is not a setting"]


@pytest.mark.parametrize("name", ["MUXER_CONFIG", "MUXER_TARGET", "MUXER_ADMIN_TARGET", "MUXER_API_KEY"])
def test_variables_of_the_command_line_are_no_mistake(name: str) -> None:
    Path("given").write_text("")  # MUXER_CONFIG names a file, which must be there
    assert load({name: "given"}) == load()


def test_all_problems_are_told_at_once() -> None:
    problems = problems_of(
        {
            "MUXER_NOPE": "1",
            "MUXER_SERVER__WORKERS": "0",
            "MUXER_SERVER__LISTEN": "nowhere",
            "MUXER_LOG__LEVEL": "loud",
            "MUXER_TLS__KEY_FILE": "key.pem",
        }
    )
    told = [problem.split()[0] for problem in problems]
    assert told == ["MUXER_NOPE", "MUXER_SERVER__LISTEN:", "MUXER_SERVER__WORKERS:", "tls:", "MUXER_LOG__LEVEL:"]


def test_an_error_is_readable_as_one_line() -> None:
    with pytest.raises(SettingsError, match=r"^MUXER_SERVER__WORKERS: .*; MUXER_SERVER__PROT is not a setting"):
        load({"MUXER_SERVER__WORKERS": "0", "MUXER_SERVER__PROT": "1"})


BOUNDED = [
    (path, field)
    for path, field in leaves(Settings)
    if path.startswith(("server.", "tls.")) and any(kind in (int, float) for kind in (field.annotation,))
]


@pytest.mark.parametrize(("path", "field"), BOUNDED, ids=[path for path, _ in BOUNDED])
def test_a_number_below_its_bound_is_refused(path: str, field: Any) -> None:
    bounds = [mark for mark in field.metadata if isinstance(mark, annotated_types.Ge | annotated_types.Gt)]
    assert bounds, f"{path} has no lower bound"
    (problem,) = problems_of({variable_of(path): "-1"})
    assert problem.startswith(f"{variable_of(path)}: ")


@pytest.mark.parametrize("text", ["many", "", "1.5", "1e3x"])
def test_what_is_no_number_is_refused(text: str) -> None:
    (problem,) = problems_of({"MUXER_SERVER__WORKERS": text})
    assert problem.startswith("MUXER_SERVER__WORKERS: ")


# Addresses


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:0", "127.9.9.9:1", "localhost:65535", "[::1]:1", "unix:/run/muxer.sock", "unix:a.sock,127.0.0.1:1"],
)
def test_loopback_and_unix_addresses_are_served(address: str) -> None:
    assert load({"MUXER_SERVER__LISTEN": address}).server.listen == address


@pytest.mark.parametrize("area_name", ["listen", "admin_listen"])
@pytest.mark.parametrize(
    "address", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "muxer.example:1", "*:1", "127.0.0.1:1,0.0.0.0:1"]
)
def test_addresses_that_others_can_reach_are_refused_where_nobody_has_to_prove_anything(
    area_name: str, address: str
) -> None:
    variable = f"MUXER_SERVER__{area_name.upper()}"
    (problem,) = problems_of({variable: address})
    assert problem.startswith(f"server.{area_name}: without authentication")
    load({variable: address, "MUXER_IDENTITY__MODES": "keys", "MUXER_IDENTITY__PEPPER": "p" * 32})


@pytest.mark.parametrize(
    "address", ["127.0.0.1", ":1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "unix:", "muxer"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    (problem,) = problems_of({"MUXER_SERVER__LISTEN": address})
    assert "or unix:/path" in problem or "unix:/run/muxer.sock" in problem


def test_a_service_listens_somewhere() -> None:
    assert problems_of({"MUXER_SERVER__LISTEN": ""}) == ["server: listen must name at least one address"]


def test_the_admin_listener_can_be_left_out() -> None:
    assert load({"MUXER_SERVER__ADMIN_LISTEN": ""}).server.admin_listen == ""


@pytest.mark.parametrize("variable", ["MUXER_SERVER__LISTEN", "MUXER_SERVER__ADMIN_LISTEN"])
def test_several_workers_do_not_take_a_port_each(variable: str) -> None:
    (problem,) = problems_of({"MUXER_SERVER__WORKERS": "2", variable: "127.0.0.1:0"})
    assert "port 0 is for one worker" in problem


@pytest.mark.parametrize(
    ("host", "ours"), [("127.0.0.1", True), ("[::1]", True), ("localhost", True), ("10.0.0.1", False), ("me", False)]
)
def test_loopback_is_told_from_other_hosts(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours


# TLS


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"certificate_file"}, "go together"),
        ({"key_file"}, "go together"),
        ({"client_ca_file"}, "need TLS"),
        ({"require_client_certificate"}, "need TLS"),
        ({"certificate_file", "key_file", "require_client_certificate"}, "needs client_ca_file"),
        ({"certificate_file", "key_file", "client_ca_file"}, "no effect without it"),
    ],
)
def test_half_of_a_tls_setting_is_refused(given: set[str], told: str) -> None:
    Path("some.pem").write_text("")
    environ = {f"MUXER_TLS__{name.upper()}": "true" if name.startswith("require") else "some.pem" for name in given}
    (problem,) = problems_of(environ)
    assert problem.startswith("tls: ")
    assert told in problem


def test_a_whole_tls_setting_is_taken() -> None:
    Path("some.pem").write_text("")
    names = ("CERTIFICATE_FILE", "KEY_FILE", "CLIENT_CA_FILE")
    tls = load(
        {f"MUXER_TLS__{name}": "some.pem" for name in names} | {"MUXER_TLS__REQUIRE_CLIENT_CERTIFICATE": "1"}
    ).tls
    assert tls.certificate_file == tls.key_file == tls.client_ca_file == Path("some.pem")
    assert tls.require_client_certificate is True


def test_a_tls_file_that_is_not_there_is_refused_by_its_name() -> None:
    Path("some.pem").write_text("")
    (problem,) = problems_of({"MUXER_TLS__CERTIFICATE_FILE": "some.pem", "MUXER_TLS__KEY_FILE": "gone.pem"})
    assert problem == "tls: no such file: gone.pem"
