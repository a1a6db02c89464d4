"""The status page as a document: what it says, what it never says, and who waits for the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from muxer_grpc.domain.budgeting import Budget, BudgetSpending, Period
from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.ops import wording
from muxer_grpc.ops.budget_watch import LEAST_KEPT_SECONDS, BudgetWatch
from muxer_grpc.ops.markup import text
from muxer_grpc.ops.page import status_page
from muxer_grpc.ops.serving import plain
from tests.unit.standing import BUDGET, DECISION, MODEL, PROVIDER, STATUS

EVIL = "<script>alert(1)</script>"


class Read(HTMLParser):
    """Reads a page as a browser does: its elements, and the text of each table's cells under their headings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_whatever_comes_from_outside_is_text_on_the_page() -> None:
    evil = replace(
        STATUS,
        process=replace(STATUS.process, instance_id=EVIL, price_book_version=EVIL, default_strategy=EVIL),
        providers=[replace(PROVIDER, name=EVIL, health="down")],
        models=[replace(MODEL, name=f"{EVIL}\" onload=alert(1) '")],
        budgets=[replace(BUDGET, tenant_id=EVIL, tenant_name=EVIL, user_id=EVIL, key_id=EVIL)],
        decisions=[DECISION._replace(strategy=EVIL, selected_model=EVIL, explanation=EVIL, error=EVIL)],
    )
    page = status_page(evil)
    assert "<script>alert" not in page
    assert Read(page).words.count(EVIL) == 15
    assert [set(attributes) for attributes in Read(page).named("script")] == [{"src", "defer"}]
    assert not [name for _, attributes in Read(page).elements for name in attributes if name.startswith("on")]


def test_signs_that_would_turn_or_end_text_are_made_visible() -> None:
    assert text("a\u202eb\x00\u00a0c") == "a\ufffdb\ufffd\u00a0c"


def test_the_page_says_how_each_provider_does_in_words_and_shapes_and_not_by_colour_alone() -> None:
    page = Read(status_page(replace(STATUS, providers=[PROVIDER, replace(PROVIDER, name="acme", health="down")])))
    assert "■ Serving · 1 of 2 providers is down: acme" in page.words
    assert "● healthy" in page.words
    [live] = [each for each in page.named("p") if "aria-live" in each]
    assert (live["id"], live["aria-live"], live["class"]) == ("state", "polite", "bad")


def test_each_table_has_headings_and_each_row_a_name() -> None:
    page = Read(status_page(STATUS))
    assert len(page.named("table")) == 4
    assert {each["scope"] for each in page.named("th")} == {"col", "row"}
    assert [each["lang"] for each in page.named("html")] == ["en"]
    assert "width=device-width, initial-scale=1" in [each.get("content") for each in page.named("meta")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"draining": True}, "Draining: new calls go elsewhere"),
        ({"worker": 2, "workers": 3}, "Worker 2 of 3, with a page of its own"),
    ],
)
def test_the_page_says_which_process_it_is_of_and_whether_it_ends(change: dict[str, int], told: str) -> None:
    assert told in Read(status_page(replace(STATUS, process=replace(STATUS.process, **change)))).words


def test_what_is_not_known_of_budgets_is_said() -> None:
    assert "Not known: the database did not say in time." in Read(status_page(replace(STATUS, budgets=None))).words
    assert "Nothing is spent of any budget" in Read(status_page(replace(STATUS, budgets=[]))).words


def test_a_status_is_json() -> None:
    told = json.loads(json.dumps(plain(STATUS), allow_nan=False))
    assert told["decisions"][0]["explanation"] == DECISION.explanation
    assert told["budgets"][0]["share"] == 0.25
    assert told["providers"][0]["probe"] == {"at": 1_800_000_000.0, "seconds": 0.2, "failure": ""}


@pytest.mark.parametrize(
    ("nano_usd", "told"),
    [
        (0, "$0"),
        (1, "$0.000000001"),
        (12_700, "$0.0000127"),
        (12_345_678, "$0.0123"),
        (500_000_000, "$0.50"),
        (999_999_999, "$1.00"),
        (1_234_567_890_123, "$1,234.57"),
    ],
)
def test_amounts_are_short_and_never_nothing_when_they_are_something(nano_usd: int, told: str) -> None:
    assert wording.usd(nano_usd) == told


def test_a_share_is_100_percent_only_when_it_is_whole() -> None:
    told = [wording.percent(rate).replace(wording.SPACE, " ") for rate in (0.0, 0.9999, 1.0, 5.5)]
    assert told == ["0.0 %", "99.9 %", "100 %", "550.0 %"]


def test_times_are_told_in_the_unit_that_suits_them() -> None:
    assert [wording.span(seconds) for seconds in (5, 303, 11_520, 356_400)] == [
        "5 s",
        "5 min 3 s",
        "3 h 12 min",
        "4 d 3 h",
    ]
    assert [wording.ago(at, 1_000) for at in (None, 999.5, 990, 700)] == ["\u2013", "now", "10 s ago", "5 min ago"]
    told = [wording.duration(seconds).replace(wording.SPACE, " ") for seconds in (0, 0.0001, 0.82, 1.36, 12.44)]
    assert told == ["0 ms", "<1 ms", "820 ms", "1.36 s", "12.4 s"]


class Ledger:
    """A database that answers when it is let, and counts the questions; its clock stands."""

    def __init__(self) -> None:
        self.asked = self.at_once = 0
        self.open = asyncio.Event()
        self.error: Exception | None = None
        self.now = 0.0
        self.began = asyncio.Event()
        self.ended = asyncio.Event()

    async def ask(self) -> Sequence[BudgetSpending]:
        self.asked += 1
        self.at_once += 1
        assert self.at_once == 1
        self.began.set()
        try:
            await self.open.wait()
        finally:
            self.at_once -= 1
            self.ended.set()
        if self.error is not None:
            raise self.error
        return [BudgetSpending(Budget("b", "acme", Period.TOTAL, 100), "", self.asked, 0)]

    def watch(self, patience_seconds: float = 0.0) -> BudgetWatch:
        return BudgetWatch(self.ask, lambda: self.now, patience_seconds)


async def test_a_slow_database_is_not_waited_for_nor_asked_twice_and_its_late_answer_serves() -> None:
    ledger = Ledger()
    watch = ledger.watch()
    assert [(await watch.look()).spending for _ in range(3)] == [None] * 3
    assert ledger.asked == 1
    ledger.open.set()
    await ledger.ended.wait()
    late = (await watch.look()).spending
    assert late is not None and late[0].spent_nano_usd == ledger.asked == 1


async def test_many_who_look_at_once_ask_once_and_an_answer_holds_for_two_seconds() -> None:
    ledger = Ledger()
    ledger.open.set()
    watch = ledger.watch(patience_seconds=60)
    await asyncio.gather(*(watch.look() for _ in range(20)))
    ledger.now += LEAST_KEPT_SECONDS - 0.1
    await watch.look()
    assert ledger.asked == 1
    ledger.now += 0.2
    found = (await watch.look()).spending
    assert found is not None and found[0].spent_nano_usd == ledger.asked == 2


async def test_an_answer_that_took_long_holds_long() -> None:
    ledger = Ledger()
    watch = ledger.watch(patience_seconds=60)
    looking = asyncio.create_task(watch.look())
    await ledger.began.wait()
    ledger.now += 0.5
    ledger.open.set()
    await looking
    ledger.now += 9.9
    assert (await watch.look()).spending is not None
    assert ledger.asked == 1


@pytest.mark.parametrize("error", [StorageUnavailable(), KeyError("a defect")])
async def test_a_database_that_fails_leaves_budgets_not_known(error: Exception) -> None:
    ledger = Ledger()
    ledger.open.set()
    ledger.error = error
    assert (await ledger.watch(patience_seconds=60).look()).spending is None


async def test_closing_ends_a_question_that_is_under_way() -> None:
    ledger = Ledger()
    watch = ledger.watch()
    await watch.look()
    await ledger.began.wait()
    await watch.aclose()
    assert ledger.at_once == 0
