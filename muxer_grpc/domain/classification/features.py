"""The features of the learned classifier, the same when it is trained and when it runs.

Three blocks: dense ones (the shape of the text, and the lexicon's groups with some of their products), vectors of words
and pairs, and which words and pairs occur at all. The last two are rows of tables; this module finds the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, repeat

import numpy as np
from numpy.typing import NDArray

from muxer_grpc.domain.classification import lexicon
from muxer_grpc.domain.classification.reading import BY_CHARACTER, SHAPE_NAMES, Reading, tokens_of

Floats = NDArray[np.float32]
Groups = NDArray[np.uint8]

# Stand before the first and behind the last token; no text holds them.
BEGIN, END = "\x02", "\x03"
OPENING_TOKENS = 3

GROUP_NAMES = tuple(lexicon.GROUPS)
_GROUP = {name: index for index, name in enumerate(GROUP_NAMES)}
_LEFT_AND_RIGHT = np.array([[_GROUP[pair[side]] for pair in lexicon.PRODUCTS] for side in (0, 1)])

# What is told of the lexicon's groups: some under the names that rules use too.
SIGNAL_GROUPS = (
    ("programming_words", ("code_language", "code_verb", "code_token", "error_word")),
    ("code_nouns", ("code_noun",)),
    ("complexity_words", ("judge", "reason_word", "logic_word")),
    ("math_words", ("math_word", "story_math")),
    ("science_words", ("science_word", "professional_word")),
    ("extraction_words", ("extract_verb", "format_word")),
    ("translation_words", ("translate_verb", "say_in")),
    ("picture_words", ("picture_noun", "picture_place")),
    ("creative_words", ("creative_noun",)),
    ("harm_words", ("harm_act", "harm_thing", "harm_way")),
    ("step_words", ("step_word",)),
)
SIGNAL_NAMES = tuple(name for name, _ in SIGNAL_GROUPS)
SIGNAL_SUMS = np.array([[float(group in groups) for _, groups in SIGNAL_GROUPS] for group in GROUP_NAMES], np.float32)

DENSE_NAMES = (
    *SHAPE_NAMES,
    *(f"has_{name}" for name in GROUP_NAMES),
    *(f"count_{name}" for name in GROUP_NAMES),
    *(f"share_{name}" for name in GROUP_NAMES),
    *(f"opens_{name}" for name in GROUP_NAMES),
    *(f"{left}*{right}" for left, right in lexicon.PRODUCTS),
)


class Rows:
    """Finds the table rows of a reading: row 0 is no word, then come the words, then the pairs."""

    def __init__(self, words: Sequence[str], pairs: Sequence[str]) -> None:
        self.words = tuple(words)
        self.pairs = tuple(pairs)
        self._row_of_word = {word: row for row, word in enumerate(words, start=1)}
        first_pair = 1 + len(words)
        self._begin, self._end = self._row_of_word[BEGIN], self._row_of_word[END]
        self._row_of_pair: dict[tuple[int, int], int] = {}
        for row, pair in enumerate(pairs, start=first_pair):
            left, right = pair.split(" ")
            self._row_of_pair[self._row_of_word[left], self._row_of_word[right]] = row
        self.count = first_pair + len(pairs)
        self.groups = self._groups()
        self._groups_of_row = {
            int(row): tuple(np.flatnonzero(self.groups[row]).tolist()) for row in np.flatnonzero(self.groups.any(1))
        }

    def of(self, reading: Reading) -> list[int]:
        """Lists the rows of a reading, words first, each as often as it occurs; the first is the beginning's."""
        # All of it runs in C: a loop of bytecode takes twice as long.
        rows = [self._begin, *map(self._row_of_word.get, reading.tokens, repeat(0)), self._end]
        rows += filter(None, map(self._row_of_pair.get, pairwise(rows)))
        return rows

    def opening(self, rows: Sequence[int]) -> list[int]:
        """Lists the groups of the first tokens; the first row is the beginning's, which has none."""
        of_row = self._groups_of_row
        return [group for row in rows[1 : 1 + OPENING_TOKENS] if row in of_row for group in of_row[row]]

    def _groups(self) -> Groups:
        """Marks which rows belong to which groups of the lexicon."""
        groups = np.zeros((self.count, len(GROUP_NAMES)), np.uint8)
        for name, entry in lexicon_entries():
            parts = entry.split(" ")
            rows = [self._row_of_word.get(part, 0) for part in parts]
            row = rows[0] if len(parts) == 1 else self._row_of_pair.get((rows[0], rows[1]), 0)
            groups[row, _GROUP[name]] = 1
        groups[0] = 0
        return groups


def lexicon_entries() -> list[tuple[str, str]]:
    """Lists the lexicon's words and pairs (with a space between) as tokens, each with its group."""
    entries = []
    for name, words in lexicon.GROUPS.items():
        for word in words.lower().split():
            tokens = list(word) if _by_character(word) else tokens_of(word.replace("_", " "))
            if tokens:
                entries.append((name, " ".join(tokens[:2])))
    return entries


def _by_character(word: str) -> bool:
    """Tells whether a word is of a script that is read by character."""
    return any(first <= word[0] <= last for first, last in BY_CHARACTER)


_SHAPES = len(SHAPE_NAMES)
_GROUPS = len(GROUP_NAMES)
_HAS = slice(_SHAPES, _SHAPES + _GROUPS)
_HAS_COUNT_SHARE = slice(_SHAPES, _SHAPES + 3 * _GROUPS)
_OPENS = slice(_HAS_COUNT_SHARE.stop, _HAS_COUNT_SHARE.stop + _GROUPS)
_PRODUCT = slice(_OPENS.stop, _OPENS.stop + len(lexicon.PRODUCTS))
# Counts above this say no more.
MOST_COUNTED = 5.0


# More tokens a cut text seldom has. For each number of tokens: whether a group occurs, how often, and its share, as one
# product instead of three.
MOST_TOKENS = 400
_SCALES = [
    np.array(((1.0,), (1 / MOST_COUNTED,), (5.0 / (tokens + 3),)), np.float32) for tokens in range(MOST_TOKENS + 1)
]


def fill(values: Floats, reading: Reading, counts: Floats, opening: Sequence[int]) -> None:
    """Writes the dense features (as DENSE_NAMES lists) into the front of `values`.

    `counts` holds how many different words of each group occur, `opening` lists the groups of the first tokens.
    """
    values[:_SHAPES] = reading.shape
    scales = _SCALES[min(len(reading.tokens), MOST_TOKENS)]
    np.minimum(counts * scales, 1.0, out=values[_HAS_COUNT_SHARE].reshape(3, _GROUPS))
    present = values[_HAS]
    values[_OPENS] = 0.0
    for group in opening:
        values[_OPENS.start + group] = 1.0
    both = present.take(_LEFT_AND_RIGHT)
    np.multiply(both[0], both[1], out=values[_PRODUCT])
