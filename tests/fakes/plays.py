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
    delay: float = 0.0  # before the first byte, the headers' included
    cut_at: int | None = None  # the connection ends after so many bytes of the body, mostly amid a chunk
    cut_after: int | None = None  # ... after so many events; of a whole reply, after as large a part of it
    cut_in_character: bool = False  # ... within the first character of several bytes
    orderly: bool = False  # a cut ends the body as if it were whole, as a proxy does whose own upstream broke
    abrupt: bool = False  # a cut resets the connection, which may take bytes under way with it
    stall_after: int | None = None  # silence after so many events; of a whole reply, after as large a part of it
    stall: float = 0.0
    first_token_after: float = 0.0  # silence between the headers and the first event, or the body
    holds: bool = False  # the line stays open after the last event, until the caller gives up
    garbage_at: int | None = None  # this event, or the whole reply, becomes broken JSON
    error_at: int | None = None  # in place of this event, the vendor's error event
    no_end: bool = False  # the end mark is missing
    crlf: bool = False
    comments: bool = False  # comments and unknown fields between events
    multi_line: bool = False  # JSON spread over several data lines
    trickle: float = 0.0  # seconds between single bytes
    pause: float = 0.0  # seconds between events
    endless: bool = False  # the body never ends
    header_bytes: int = 0  # one more header of this size
    refuses_prefill: bool = False  # an error when the conversation ends with the assistant's turn
    echoes: bool = False  # a begun answer is sent again before it is continued
    lasts: float = 0.0  # stays for so long from its first call on, whatever the number of calls


def plays_of_model(model: str) -> tuple[Play, ...]:
    """Chooses by the model's name, for a fake that runs on its own.

    `tokens-N`: N tokens. `error-KIND`: an error for ever, as `error-rate_limit`; `once-KIND`: once, then fine.
    `wait-N`: a rate limit that asks to wait N seconds, once. `down-N`: overloaded for N seconds from the first call
    on, then fine. `cut-N`, `stall-N`: of 60 events of text, the line is cut or falls silent after N. `delay-N`: N
    milliseconds to the first byte. `trickle-N`: N milliseconds between bytes. `silent`, `reset`, `endless`,
    `no-end`, `no-prefill`. Anything else answers plainly.
    """
    if model in _WHOLE_NAMES:
        return (_WHOLE_NAMES[model],)
    name, _, argument = model.partition("-")
    if name == "error":
        return (Play(error=argument),)
    if name == "once":
        return Play(error=argument), Play()
    if not argument.isdecimal():
        return (Play(),)
    number = int(argument)
    sixty = Play(answer=of_tokens(60))
    plays = {
        "tokens": (Play(answer=of_tokens(number)),),
        "wait": (Play(error="rate_limit", headers=(("retry-after", argument),)), Play()),
        "down": (Play(error="overloaded", lasts=number), Play()),
        "cut": (replace(sixty, cut_after=number),),
        "stall": (replace(sixty, stall_after=number, stall=3600.0),),
        "delay": (Play(delay=number / 1000),),
        "trickle": (Play(trickle=number / 1000),),
    }
    return plays.get(name, (Play(),))


_WHOLE_NAMES = {
    "silent": Play(silent=True),
    "reset": Play(reset=True),
    "endless": Play(body=b"", endless=True),
    "no-end": Play(no_end=True),
    "no-prefill": Play(refuses_prefill=True),
}
