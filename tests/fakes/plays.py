"""What the fake provider does with one call: an answer or a fault, and how models' names choose one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.fakes.answers import PLAIN, Answer, of_tokens


@dataclass(frozen=True)
class Play:
    """One reply. Every field but `answer` is a fault; times are in seconds, positions count events or body bytes."""

    answer: Answer = PLAIN
    error: str = ""  # a kind of error: see dialects
    status: int = 0  # another status than the error's own
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None  # these bytes instead of an answer
    content_type: str = ""
    reset: bool = False  # the connection is reset before any header
    silent: bool = False  # nothing at all is sent
    delay: float = 0.0  # before the first byte of the body
    cut_at: int | None = None  # the connection ends after so many bytes of the body
    cut_after: int | None = None  # ... after so many events
    stall_after: int | None = None  # silence after so many events
    stall: float = 0.0
    garbage_at: int | None = None  # this event becomes broken JSON
    error_at: int | None = None  # in place of this event, the vendor's error event
    no_end: bool = False  # the end mark is missing
    crlf: bool = False
    comments: bool = False  # comments and unknown fields between events
    multi_line: bool = False  # JSON spread over several data lines
    trickle: float = 0.0  # seconds between single bytes
    pause: float = 0.0  # seconds between events
    endless: bool = False  # the body never ends
    header_bytes: int = 0  # one more header of this size


def play_of_model(model: str) -> Play:
    """Chooses by the model's name, for a fake that runs on its own.

    `tokens-N`: N tokens. `error-KIND`: an error, as `error-rate_limit`. `cut-N`: the line is cut after N events.
    `stall-N`: silence after N events. `delay-N`: N milliseconds to the first byte. `silent`, `reset`, `no-end`.
    Anything else answers plainly.
    """
    name, _, argument = model.partition("-")
    if name == "error":
        return Play(error=argument)
    if name == "silent":
        return Play(silent=True)
    if name == "reset":
        return Play(reset=True)
    if model == "no-end":
        return Play(no_end=True)
    if not argument.isdecimal():
        return Play()
    number = int(argument)
    sixty = Play(answer=of_tokens(60))
    plays = {
        "tokens": Play(answer=of_tokens(number)),
        "cut": replace(sixty, cut_after=number),
        "stall": replace(sixty, stall_after=number, stall=3600.0),
        "delay": Play(delay=number / 1000),
    }
    return plays.get(name, Play())
