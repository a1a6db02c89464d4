"""Ctrl-C in the middle of a call and between calls."""

from __future__ import annotations

import signal

import pytest

from muxer_grpc.cli.interrupts import deferred_interrupts


def test_ctrl_c_waits_for_the_end_of_a_call() -> None:
    steps = []
    with deferred_interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.calling():
            signal.raise_signal(signal.SIGINT)
            steps.append("called")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert steps == ["called"]


def test_a_second_ctrl_c_interrupts_the_call() -> None:
    steps = []
    with deferred_interrupts() as interrupts, pytest.raises(KeyboardInterrupt), interrupts.calling():
        signal.raise_signal(signal.SIGINT)
        steps.append("first")
        signal.raise_signal(signal.SIGINT)
        steps.append("second")
    assert steps == ["first"]


def test_ctrl_c_between_calls_interrupts_at_once() -> None:
    with deferred_interrupts() as interrupts:
        with interrupts.calling():
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_handled_ctrl_c_before_handles_it_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_a_program_that_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_interrupts() as interrupts, interrupts.calling():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
