"""Options by which a caller steers the cache of answers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from muxer.v1 import chat_pb2
from muxer_client import build_spec
from muxer_client.requests import CACHE_MODES


@pytest.mark.parametrize("mode", CACHE_MODES)
def test_each_mode_of_the_cache_has_a_word(mode: str) -> None:
    assert build_spec("hi", cache=mode).cache == chat_pb2.CachePolicy(mode=CACHE_MODES[mode])  # type: ignore[arg-type]


def test_the_words_are_all_modes_of_the_contract() -> None:
    assert {*CACHE_MODES.values(), chat_pb2.CACHE_MODE_UNSPECIFIED} == {*chat_pb2.CacheMode.values()}


@pytest.mark.parametrize("ttl", [1.5, timedelta(seconds=1.5)])
def test_a_time_to_be_kept_may_be_seconds_or_a_duration(ttl: float | timedelta) -> None:
    spec = build_spec("hi", cache_ttl=ttl)
    assert spec.cache.ttl.ToTimedelta() == timedelta(seconds=1.5)
    assert spec.cache.mode == chat_pb2.CACHE_MODE_UNSPECIFIED


def test_without_an_option_a_spec_says_nothing_of_the_cache() -> None:
    assert not build_spec("hi").HasField("cache")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cache": "on"}, "'on' is not a mode of the cache; known are default, off, refresh"),
        ({"cache_ttl": float("nan")}, "cache_ttl: nan is no number of seconds"),
    ],
)
def test_what_is_no_such_value_is_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        build_spec("hi", **options)  # type: ignore[arg-type]
