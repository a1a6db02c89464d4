"""The table of settings, rendered from their fields."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import get_args

import pytest
from pydantic import BaseModel, SecretStr

from muxer_grpc.modes import Mode
from muxer_grpc.settings import ServerSettings, Settings
from muxer_grpc.settings_loading import _shown, known_names, settings_table, variable_of


def areas(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Walks a model and the models within."""
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from areas(kind)


@pytest.mark.parametrize("area", list(areas(Settings)), ids=lambda area: area.__name__)
def test_every_setting_says_what_it_is_for(area: type[BaseModel]) -> None:
    for name, field in area.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_the_walk_finds_every_setting_of_the_server() -> None:
    found = {name.removeprefix("server.") for name in known_names() if name.startswith("server.")}
    assert found == set(ServerSettings.model_fields)


def test_the_table_has_one_row_for_every_setting() -> None:
    rows = [line for line in settings_table().splitlines() if line.startswith("| `MUXER_")]
    assert [row.split("`")[1] for row in rows] == [variable_of(name) for name in known_names()]
    assert all(row.count("|") == 4 for row in rows)


def test_the_table_shows_defaults_as_one_writes_them() -> None:
    table = settings_table()
    assert "| `MUXER_SERVER__REFLECTION` | `true` |" in table
    assert "| `MUXER_SERVER__WORKERS` | `1` |" in table
    assert "| `MUXER_TLS__KEY_FILE` |  |" in table
    assert "| `MUXER_MODE` | `enhanced` |" in table


def test_the_default_of_a_choice_is_shown_by_its_value_whatever_kind_of_enum_it_is() -> None:
    class Plain(Enum):
        ONE = "one"

    assert (_shown(Plain.ONE), _shown(Mode.ENHANCED)) == ("`one`", "`enhanced`")


def test_a_default_is_shown_even_where_what_is_set_is_secret() -> None:
    assert _shown(SecretStr("sqlite:///muxer.db")) == "`sqlite:///muxer.db`"
    assert "***" not in settings_table()
