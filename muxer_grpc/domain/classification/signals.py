"""What can be seen in a prompt, in one pass and linear time."""

from __future__ import annotations

import re
from typing import NamedTuple

from muxer_grpc.domain.chat import Conversation, ImagePart, Role

# Signals look at the head and the tail of a long prompt: what is asked stands at one of the two.
HEAD_CHARACTERS = 4_000
TAIL_CHARACTERS = 1_000

_WORD = re.compile(r"[^\W_]+[+#]*")

PROGRAMMING_WORDS = frozenset(
    """
    algorithm api async bash bug class codebase compile compiler css debug debugger decorator docker dockerfile
    endpoint exception function git golang html java javascript kotlin lambda linux method mysql nodejs npm oop
    pandas php pip postgresql pytest python react recursion refactor regex rust script segfault sql stacktrace
    struct swift traceback typescript unittest webpack yaml c++ c# program programming code coding implement
    """.split()
)
COMPLEXITY_WORDS = frozenset(
    """
    analyse analyze analysing analyzing analysis architect architecture compare contrast critique debug deduce
    derive design evaluate explain hypothesis implications infer justify optimise optimize plan proof prove reason
    reasoning strategy synthesise synthesize theorem tradeoff tradeoffs troubleshoot why
    """.split()
)
MATH_WORDS = frozenset(
    """
    algebra calculate calculus compute derivative divide equation fraction geometry integral matrix minus multiply
    percent plus polynomial probability solve square sum theorem times triangle
    """.split()
)
CREATIVE_WORDS = frozenset(
    """
    compose fiction haiku lyrics novel poem poetry rhyme screenplay slogan song story
    """.split()
)
TRANSLATION_WORDS = frozenset(
    """
    translate translation translated übersetze traduis traduce traduci
    """.split()
)
EXTRACTION_WORDS = frozenset(
    """
    extract json parse schema fields structured
    """.split()
)
CONVERSATION_WORDS = frozenset(
    """
    bye chat feel hello hey hi morning please sorry thanks thank you
    """.split()
)
QUESTION_WORDS = frozenset(
    """
    are can could did do does how is was were what what's when where which who who's whose will would
    """.split()
)
HARM_PHRASES = (
    "build a bomb",
    "make a bomb",
    "steal credit card",
    "kill someone",
    "malware",
    "ransomware",
    "ddos attack",
)

_ARITHMETIC = re.compile(r"\d\s*[-+*/^=\u00d7\u00f7]\s*\d")


class Signals(NamedTuple):
    """What was seen. Counts are of words; `words` is the length of the looked-at text in words."""

    characters: int
    words: int
    code_fence: bool
    inline_code: bool
    programming_words: int
    complexity_words: int
    math_words: int
    arithmetic: bool
    creative_words: int
    translation_words: int
    extraction_words: int
    conversation_words: int
    question: bool
    harm_phrases: int
    images: int
    structured_output: bool


def read_signals(conversation: Conversation) -> Signals:
    """Looks at the last user turn, at all pictures, and at the asked form of the answer."""
    turn = next((m for m in reversed(conversation.messages) if m.role is Role.USER), conversation.messages[-1])
    text = turn.text
    characters = len(text)
    if characters > HEAD_CHARACTERS + TAIL_CHARACTERS:
        text = f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"
    lowered = text.lower()
    words = _WORD.findall(lowered)
    counted = _count_words(words)
    images = 0
    for message in conversation.messages:
        for part in message.parts:
            images += type(part) is ImagePart
    return Signals(
        characters=characters,
        words=len(words),
        code_fence="```" in text,
        inline_code=text.count("`") >= 2 and "```" not in text,
        programming_words=counted[0],
        complexity_words=counted[1],
        math_words=counted[2],
        arithmetic=_ARITHMETIC.search(text) is not None,
        creative_words=counted[3],
        translation_words=counted[4],
        extraction_words=counted[5],
        conversation_words=counted[6],
        question=bool(words) and (words[0] in QUESTION_WORDS or lowered.rstrip().endswith("?")),
        harm_phrases=len([phrase for phrase in HARM_PHRASES if phrase in lowered]),
        images=images,
        structured_output=conversation.response_format is not None,
    )


_GROUPS = (
    PROGRAMMING_WORDS,
    COMPLEXITY_WORDS,
    MATH_WORDS,
    CREATIVE_WORDS,
    TRANSLATION_WORDS,
    EXTRACTION_WORDS,
    CONVERSATION_WORDS,
)
# One look-up per word instead of one per word and group.
_GROUPS_OF_WORD = {
    word: tuple(i for i, group in enumerate(_GROUPS) if word in group) for word in frozenset().union(*_GROUPS)
}


def _count_words(words: list[str]) -> list[int]:
    """Counts the words of each group."""
    counted = [0] * len(_GROUPS)
    groups_of_word = _GROUPS_OF_WORD
    for groups in [groups_of_word[word] for word in words if word in groups_of_word]:
        for group in groups:
            counted[group] += 1
    return counted
