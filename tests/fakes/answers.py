"""What the fake provider can say, before any dialect."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Counts:
    """Token counts in kinds that do not overlap."""

    fresh_input: int = 70
    cached_input: int = 30
    cache_write: int = 0
    output: int = 12
    reasoning: int = 8


@dataclass(frozen=True)
class Call:
    """A tool call, its arguments in the fragments in which a stream sends them."""

    id: str
    name: str
    fragments: tuple[str, ...]

    @property
    def arguments(self) -> str:
        return "".join(self.fragments)


@dataclass(frozen=True)
class Answer:
    """An answer; `finish` is stop, length, tool_calls, content_filter or refusal, which each dialect says in its way.

    `finish_word` is said instead, whatever the dialect.
    """

    tokens: tuple[str, ...] = ("Hel", "lo", " wörld", " 🌍", ".")
    reasoning: tuple[str, ...] = ()
    signature: str = ""
    refusal: str = ""
    calls: tuple[Call, ...] = ()
    finish: str = "stop"
    finish_word: str = ""
    counts: Counts = field(default_factory=Counts)

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    def after(self, begun: str) -> Answer:
        """Gives what follows a begun answer; the whole where the text is no beginning of it."""
        if not begun or not self.text.startswith(begun):
            return self
        rest, skipped = [], len(begun)
        for token in self.tokens:
            if token[skipped:]:
                rest.append(token[skipped:])
            skipped = max(0, skipped - len(token))
        return replace(self, tokens=tuple(rest))


PLAIN = Answer()
WITH_REASONING = Answer(reasoning=("Let me", " think."), signature="proof-1")
REFUSED = Answer(tokens=(), refusal="I can't help with that.", finish="refusal")
CUT_BY_LENGTH = Answer(finish="length")
FILTERED = Answer(tokens=("Well",), finish="content_filter")
WITH_CALL = Answer(
    tokens=("Looking.",), calls=(Call("call_a", "look", ('{"ci', 'ty": "Ber', 'lin"}')),), finish="tool_calls"
)
WITH_TWO_CALLS = Answer(
    tokens=(),
    calls=(Call("call_a", "look", ('{"city":', ' "Bern"}')), Call("call_b", "hear", ("{}",))),
    finish="tool_calls",
)
JSON_ANSWER = Answer(tokens=('{"name"', ': "Ada",', ' "age": 36}'))


def of_tokens(count: int) -> Answer:
    """An answer of so many tokens."""
    counts = Counts(fresh_input=100, cached_input=0, output=count, reasoning=0)
    return Answer(tokens=tuple(f" w{index}" for index in range(count)), counts=counts)
