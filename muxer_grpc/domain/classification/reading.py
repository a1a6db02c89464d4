"""Reads a prompt once: tokens, and the shape of its characters. Linear time, bounded by the cut."""

from __future__ import annotations

import re
from math import log
from typing import NamedTuple

# What is asked stands at the head or at the tail of a long prompt; the middle is material.
HEAD_CHARACTERS = 800
TAIL_CHARACTERS = 200

# Scripts without spaces between words are read by character: pairs of tokens then carry the words.
BY_CHARACTER = (
    ("\u3040", "\u30ff"),
    ("\u3400", "\u4dbf"),
    ("\u4e00", "\u9fff"),
    ("\uac00", "\ud7a3"),
    ("\u0e00", "\u0e7f"),
)
_BY_CHARACTER = "".join(f"{first}-{last}" for first, last in BY_CHARACTER)
# A hyphen between letters joins two words that are looked up as a pair; digits have been made zeros before.
_ASCII_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?[+#]*|0+|[^\sa-z0_-]|-(?![a-z])")
_TOKEN = re.compile(
    rf"[{_BY_CHARACTER}]|[^\W\d_{_BY_CHARACTER}]+(?:['’][^\W\d_{_BY_CHARACTER}]+)?[+#]*|\d+|[^\s\w-]|-(?![^\W\d_])"
)
_DIGITS = str.maketrans("123456789", "000000000")
MAX_DIGITS = 4

# Capitals are counted within this many characters, digits that became zeros with them.
CAPITALS_WITHIN = 120
_CAPITAL = re.compile("[A-ZÀ-ÖØ-ÞА-Я]")
# More signs of one kind say no more.
MOST_COUNTED = 8

# Characters whose number says something about the kind of text.
COUNTED = '?!.,:;`{[(=</\\"$%#*^\n'
_SCRIPTS = (
    ("cyrillic", 0x0400, 0x052F),
    ("arabic", 0x0600, 0x06FF),
    ("devanagari", 0x0900, 0x097F),
    ("hangul", 0xAC00, 0xD7A3),
    ("kana", 0x3040, 0x30FF),
    ("han", 0x3400, 0x9FFF),
    ("accented", 0x00C0, 0x024F),
)
SHAPE_NAMES = (
    *(f"count_{character}" for character in COUNTED.replace("\n", "↵")),
    "log_length",
    "log_words",
    "word_length",
    "upper",
    "digits",
    "starts_lower",
    "ends_question",
    "ends_stop",
    "ends_colon",
    "no_punctuation",
    "has_fence",
    "one_line",
    "few_words",
    "some_words",
    "long",
    *(name for name, _, _ in _SCRIPTS),
    "mixed_scripts",
)


class Reading(NamedTuple):
    """What was read of a text: its tokens, lower case and with digits as zeros, and its shape as SHAPE_NAMES lists."""

    tokens: list[str]
    shape: list[float]


NOTHING = Reading([], [])


def cut(text: str) -> str:
    """Gives the head and the tail of a long text, and a short one whole."""
    if len(text) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
        return text
    return f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"


def read(text: str) -> Reading:
    """Reads the cut text of a prompt whose true length is kept in the shape. Any string will do; never fails."""
    length = len(text)
    text = cut(text)
    lowered = text.lower().translate(_DIGITS)
    ascii_only = lowered.isascii()
    tokens = (_ASCII_TOKEN if ascii_only else _TOKEN).findall(lowered)
    return Reading(tokens, _shape(text, lowered, length, ascii_only=ascii_only))


def tokens_of(text: str) -> list[str]:
    """Lists the tokens of a short text."""
    return _TOKEN.findall(text.lower().translate(_DIGITS))


def _shape(text: str, lowered: str, length: int, *, ascii_only: bool) -> list[float]:
    count = text.count
    counts = [count(character) for character in COUNTED]
    shown = len(text) + 1
    words = lowered.count(" ") + counts[-1] + 1
    end = text.rstrip()[-1:]
    zeros = lowered.count("0")
    opening = text[:CAPITALS_WITHIN]
    upper = len(_CAPITAL.findall(opening)) / (len(opening) + 1)
    shape = [n / MOST_COUNTED if n < MOST_COUNTED else 1.0 for n in counts]
    shape += (
        log(length + 1) / 8,
        log(words + 1) / 5,
        min(shown / (words + 1), 12) / 12,
        upper,
        min(zeros / shown * 5, 1.0),
        float(text[:1].islower()),
        float(end in "?？"),
        float(end in ".!。"),
        float(end == ":"),
        float(end.isalnum()),
        float("```" in text),
        float(counts[-1] == 0),
        float(words <= 4),
        float(words <= 12),
        float(length > 1000),
    )
    if ascii_only:
        shape += _NO_SCRIPTS
    else:
        shape += _script_shares(lowered)
    return shape


_NO_SCRIPTS = [0.0] * (len(_SCRIPTS) + 1)


class _LetterKinds(dict[int, str]):
    """Maps characters to a sign for their script, and what is no letter to nothing: for str.translate, by need."""

    # More distinct characters no sane text has; the map must not grow with insane ones.
    MOST = 20_000

    def __missing__(self, code: int) -> str:
        sign = ""
        if chr(code).isalpha():
            sign = _OTHER_LATIN if code < _FIRST_BEYOND_LATIN else _OTHER_LETTER
            for place, (_, first, last) in enumerate(_SCRIPTS):
                if first <= code <= last:
                    sign = str(place)
        if len(self) >= self.MOST:
            self.clear()
        self[code] = sign
        return sign


_OTHER_LATIN, _OTHER_LETTER = "l", "x"
_FIRST_BEYOND_LATIN = 0x0250
_SIGNS = tuple(str(place) for place in range(len(_SCRIPTS)))
# The accented letters, the last of the scripts, are Latin ones.
_ACCENTED = _SIGNS[-1]
_KINDS = _LetterKinds()


def _script_shares(lowered: str) -> list[float]:
    """Gives the share of each script among the letters, and whether two are mixed."""
    letters = lowered.translate(_KINDS)
    total = len(letters) + 1
    shares = [letters.count(sign) / total for sign in _SIGNS]
    latin = (letters.count(_OTHER_LATIN) + letters.count(_ACCENTED)) / total
    foreign = sum(shares[:-1])
    shares.append(float(latin > 0.1 and foreign > 0.1))
    return shares
