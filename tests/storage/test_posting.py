"""One transaction of the ledger, on both databases: what is promised, settled, refused, repeated and taken back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from muxer_grpc.domain.budgeting import Period
from muxer_grpc.domain.ledger import EntryOutcome, RequestState, Reservation, Settlement
from muxer_grpc.domain.refusals import BudgetExceeded
from muxer_grpc.domain.tenancy import LOCAL_TENANT, Subject
from muxer_grpc.storage import schema
from muxer_grpc.storage.connection import WriterConnection
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.posting import Posted, Postings
from muxer_grpc.storage.writer import Operation, sorted_out
from tests.storage.reckoning import differences, read_books, rows_of
from tests.storage.records import NOW, SECOND, SUBJECT, add_budget, budget, entry, reservation, settlement

DAY = 86_400 * SECOND
MIDNIGHT = NOW - NOW % DAY + DAY

Post = Callable[..., Posted]


@pytest.fixture
def post(database: Database) -> Iterator[Post]:
    connection, postings = WriterConnection(database), Postings()

    def run(*operations: Operation, at_us: int = NOW) -> Posted:
        with connection.transaction() as cursor:
            return postings.post(cursor, sorted_out(operations), at_us)

    yield run
    connection.close()


def abandoned(promise: Reservation) -> Settlement:
    """Makes what a sweeper books for a promise."""
    cost = promise.expected_nano_usd
    return settlement(promise, entries=(entry(promise, cost, outcome=EntryOutcome.ABANDONED),), answered=False)


def counter(database: Database, name: str) -> tuple[int, int]:
    """Gives what the one counter of a budget holds: spent and reserved."""
    [row] = [row for row in rows_of(database, schema.budget_counters) if row["budget_id"] == name]
    return row["spent_nano_usd"], row["reserved_nano_usd"]


async def test_a_promise_is_held_and_its_settlement_takes_its_place(database: Database, post: Post) -> None:
    limit = await add_budget(database, budget())
    promise = reservation(amount=400)
    post(promise)
    assert read_books(database).reserved == 400
    assert counter(database, limit.id) == (0, 400)
    post(settlement(promise, 150))
    books = read_books(database)
    assert (books.spent, books.reservations) == (150, [])
    assert counter(database, limit.id) == (150, 0)


async def test_what_comes_together_fits_into_a_hard_budget_in_the_order_in_which_it_came(
    database: Database, post: Post
) -> None:
    limit = await add_budget(database, budget(1_000))
    first, large, last, over = (reservation(amount=amount) for amount in (600, 401, 400, 1))
    posted = post(first, large, last, over)
    assert set(posted.refused) == {large.completion_id, over.completion_id}
    refusal = posted.refused[large.completion_id]
    assert isinstance(refusal, BudgetExceeded)
    assert refusal.metadata == {
        "budget": limit.id,
        "limit_nano_usd": "1000",
        "spent_nano_usd": "0",
        "reserved_nano_usd": "600",
        "asked_nano_usd": "401",
        "reset_time": "",
    }
    assert counter(database, limit.id) == (0, 1_000)


async def test_room_that_a_settlement_frees_is_there_for_promises_of_the_same_batch(
    database: Database, post: Post
) -> None:
    await add_budget(database, budget(1_000))
    first = reservation(amount=1_000)
    post(first)
    assert post(reservation(amount=900), settlement(first, 100)).refused == {}
    assert differences(read_books(database)) == []


async def test_every_budget_of_the_subject_holds_the_amount_or_none_does(database: Database, post: Post) -> None:
    wide = await add_budget(database, budget(10_000, user_id=""))
    narrow = await add_budget(database, budget(100))
    assert len(post(reservation(amount=101)).refused) == 1
    assert counter(database, wide.id) == (0, 0)
    post(reservation(amount=100))
    assert counter(database, wide.id) == counter(database, narrow.id) == (0, 100)


async def test_a_budget_of_somebody_else_counts_nothing(database: Database, post: Post) -> None:
    await add_budget(database, budget(100))
    somebody = replace(SUBJECT, user_id="somebody")
    assert post(reservation(amount=5_000, subject=somebody)).refused == {}
    assert differences(read_books(database)) == []


async def test_a_soft_budget_lets_everything_through_and_tells_each_share_once(database: Database, post: Post) -> None:
    limit = await add_budget(database, budget(1_000, hard=False))
    promises = [reservation(amount=300) for _ in range(6)]
    assert post(*promises).refused == {}
    shares = [[alert.share for alert in post(settlement(promise, 300)).alerts] for promise in promises]
    assert shares == [[], [50], [80], [100], [], []]
    told = [(row["budget_id"], row["share"]) for row in rows_of(database, schema.alerts)]
    assert told == [(limit.id, 50), (limit.id, 80), (limit.id, 100)]


async def test_a_settlement_that_jumps_over_shares_tells_each_of_them(database: Database, post: Post) -> None:
    await add_budget(database, budget(1_000, alert_shares=(10, 50, 100)))
    promise = reservation(amount=900)
    post(promise)
    assert [alert.share for alert in post(settlement(promise, 900)).alerts] == [10, 50]


@pytest.mark.parametrize("again", ["other", "abandoned", "taken back"])
async def test_what_is_settled_stays_as_it_is(database: Database, post: Post, again: str) -> None:
    await add_budget(database, budget())
    promise = reservation()
    post(promise)
    post(settlement(promise, 60))
    second = {
        "other": settlement(promise, 99),
        "abandoned": abandoned(promise),
        "taken back": Settlement(promise.completion_id, (), 0),
    }[again]
    assert post(second).settled_before == [promise.completion_id]
    books = read_books(database)
    assert [row["cost_nano_usd"] for row in books.entries] == [60]
    assert differences(books) == []


@pytest.mark.parametrize("order", ["true first", "guess first"])
async def test_of_two_settlements_in_one_batch_the_one_of_whoever_ran_it_counts(
    database: Database, post: Post, order: str
) -> None:
    await add_budget(database, budget())
    promise, beside = reservation(amount=100), reservation(amount=500)
    post(promise, beside)
    both = [settlement(promise, 77), abandoned(promise), Settlement(promise.completion_id, (), 0)]
    post(*(both if order == "true first" else reversed(both)))
    books = read_books(database)
    assert [row["cost_nano_usd"] for row in books.entries] == [77]
    assert differences(books) == []


async def test_the_word_of_a_process_that_was_taken_for_dead_replaces_what_was_guessed(
    database: Database, post: Post
) -> None:
    limit = await add_budget(database, budget())
    promise = reservation(amount=100, expected_nano_usd=80)
    post(promise)
    post(abandoned(promise))
    assert counter(database, limit.id) == (80, 0)
    post(settlement(promise, 30))
    books = read_books(database)
    assert [(row["outcome"], row["cost_nano_usd"]) for row in books.entries] == [("complete", 30)]
    assert counter(database, limit.id) == (30, 0)
    assert differences(books) == []


async def test_a_promise_made_before_midnight_and_posted_after_it_counts_in_the_day_it_was_made(
    database: Database, post: Post
) -> None:
    limit = await add_budget(database, budget(period=Period.DAILY), MIDNIGHT - 1)
    promise = reservation(created_us=MIDNIGHT - 1, amount=100)
    post(promise, at_us=MIDNIGHT + SECOND)
    assert differences(read_books(database)) == []
    post(settlement(promise, 60), at_us=MIDNIGHT + 2 * SECOND)
    books = read_books(database)
    assert differences(books) == []
    assert {row["period_start_us"]: row["spent_nano_usd"] for row in books.counters if row["spent_nano_usd"]} == {
        limit.period_start(MIDNIGHT - 1): 60
    }


async def test_a_new_day_begins_with_an_empty_counter_and_leaves_the_old_one(database: Database, post: Post) -> None:
    await add_budget(database, budget(100, period=Period.DAILY), MIDNIGHT - 1)
    old, new = reservation(created_us=MIDNIGHT - 1, amount=100), reservation(created_us=MIDNIGHT, amount=100)
    assert post(old).refused == {}
    assert post(new, reservation(created_us=MIDNIGHT, amount=1)).refused.keys() != set()
    post(settlement(old, 100), at_us=MIDNIGHT + SECOND)
    books = read_books(database)
    assert sorted((row["spent_nano_usd"], row["reserved_nano_usd"]) for row in books.counters) == [(0, 100), (100, 0)]
    assert differences(books) == []


async def test_a_budget_that_comes_while_promises_are_open_counts_them(database: Database, post: Post) -> None:
    settled, still_open = reservation(amount=100), reservation(amount=200)
    post(settled, still_open)
    post(settlement(settled, 40))
    limit = await add_budget(database, budget(1_000))
    assert counter(database, limit.id) == (40, 200)
    post(settlement(still_open, 10))
    assert counter(database, limit.id) == (50, 0)


async def test_a_budget_that_goes_while_promises_are_open_leaves_them_to_be_settled(
    database: Database, post: Post
) -> None:
    limit = await add_budget(database, budget(1_000))
    promise = reservation()
    post(promise)
    async with database.change() as connection:
        await connection.execute(schema.budgets.delete())
        await connection.execute(schema.tenants.update().values(budgets_revision=7))
    post(settlement(promise))
    books = read_books(database)
    assert (len(books.entries), books.counters, books.budgets) == (1, [], [])
    assert limit.id


async def test_a_settlement_may_cost_more_than_was_promised_and_all_of_it_counts(
    database: Database, post: Post
) -> None:
    limit = await add_budget(database, budget(100))
    promise = reservation(amount=100)
    post(promise)
    post(settlement(promise, 130))
    assert counter(database, limit.id) == (130, 0)
    assert len(post(reservation(amount=0)).refused) == 1, "nothing fits into what is overdrawn"


async def test_a_request_id_is_claimed_once_and_known_to_all_who_come_after(database: Database, post: Post) -> None:
    first, second = (reservation(request_id="r", amount=amount) for amount in (100, 200))
    posted = post(first, second)
    assert posted.known[second.completion_id].completion_id == first.completion_id
    assert posted.known[second.completion_id].state is RequestState.RUNNING
    assert read_books(database).reserved == 100
    post(settlement(first, answer=b"the answer"))
    known = post(reservation(request_id="r")).known
    [found] = known.values()
    assert (found.state, found.answer, found.fingerprint) == (RequestState.DONE, b"the answer", b"same")


async def test_the_same_request_id_of_another_tenant_is_another_request(database: Database, post: Post) -> None:
    async with database.change() as connection:
        row = {"id": "other", "policy": {}, "created_us": NOW, "updated_us": NOW}
        await connection.execute(schema.tenants.insert().values(**row))
    posted = post(reservation(request_id="r"), reservation(request_id="r", subject=Subject("other", "ann")))
    assert posted.known == {}
    assert len(read_books(database).reservations) == 2


@pytest.mark.parametrize("why", ["failed", "taken back", "abandoned", "refused"])
async def test_a_request_id_whose_completion_came_to_nothing_can_be_used_again(
    database: Database, post: Post, why: str
) -> None:
    first = reservation(request_id="r")
    if why == "refused":
        await add_budget(database, budget(0))
    post(first)
    if why == "failed":
        post(settlement(first, answered=False, answer=None))
    elif why == "taken back":
        post(Settlement(first.completion_id, (), 0))
    elif why == "abandoned":
        post(abandoned(first))
    assert rows_of(database, schema.idempotent_requests) == []
    assert post(reservation(request_id="r")).known == {}


async def test_a_request_id_is_forgotten_when_its_time_is_over(database: Database, post: Post) -> None:
    first = reservation(request_id="r", idempotent_until_us=NOW + 10)
    post(first)
    post(settlement(first))
    assert len(post(reservation(request_id="r"), at_us=NOW + 10).known) == 1
    assert post(reservation(request_id="r"), at_us=NOW + 11).known == {}


async def test_a_promise_taken_back_in_the_same_batch_is_not_made(database: Database, post: Post) -> None:
    promise = reservation(request_id="r")
    post(promise, Settlement(promise.completion_id, (), 0))
    books = read_books(database)
    assert (books.reservations, books.entries, books.requests) == ([], [], [])


async def test_names_that_a_provider_chose_are_booked_whatever_they_hold(database: Database, post: Post) -> None:
    promise = reservation()
    post(promise)
    strange = entry(promise, reported_model="m\0" + "ö" * 1_000, labels={"k\0": "v\0"})
    post(settlement(promise, entries=(strange,)))
    [row] = read_books(database).entries
    assert row["reported_model"] == "m" + "ö" * 255
    assert row["labels"] == {"k\0": "v\0"}


async def test_each_attempt_has_an_entry_and_their_sum_counts(database: Database, post: Post) -> None:
    limit = await add_budget(database, budget())
    promise = reservation()
    post(promise)
    attempts = tuple(entry(promise, cost, attempt) for attempt, cost in enumerate((7, 0, 20), 1))
    post(settlement(promise, entries=attempts))
    assert counter(database, limit.id) == (27, 0)
    assert [row["attempt"] for row in read_books(database).of(promise.completion_id)] == [1, 2, 3]


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_comes_in_whatever_order_the_sums_agree_and_no_hard_budget_is_exceeded(
    database: Database, post: Post, seed: int
) -> None:
    chance = random.Random(seed)
    subjects = [SUBJECT, replace(SUBJECT, user_id="ann"), Subject(LOCAL_TENANT, "ann", "key")]
    async with database.change() as connection:
        facts = {"tenant_id": LOCAL_TENANT, "id": "ann", "role": "caller", "created_us": NOW, "updated_us": NOW}
        await connection.execute(schema.users.insert().values(**facts))
    zones = ("UTC", "Asia/Kathmandu", "America/St_Johns")
    limits = [
        await add_budget(database, budget(limit, period, user_id=user, time_zone=chance.choice(zones)), MIDNIGHT)
        for user, limit in (("", 9_000), ("local", 3_000), ("ann", 4_000))
        for period in Period
    ]
    made: list[Reservation] = []
    for step in range(40):
        at_us = MIDNIGHT + step * DAY // 8
        batch: list[Operation] = []
        for _ in range(chance.randrange(1, 12)):
            amount = chance.randrange(600)
            promise = reservation(
                amount=amount,
                # A guess that is too low may be put right when others have taken the room.
                expected_nano_usd=amount,
                subject=chance.choice(subjects),
                created_us=at_us - chance.randrange(5 * SECOND),
                request_id=chance.choice(["", "", f"r{chance.randrange(20)}"]),
                idempotent_until_us=at_us + DAY,
            )
            batch.append(promise)
            if chance.random() < 0.1:
                batch.append(Settlement(promise.completion_id, (), 0))
        for promise in chance.sample(made, min(len(made), chance.randrange(12))):
            cost = chance.randrange(promise.amount_nano_usd + 1)
            batch.append(
                chance.choice(
                    [
                        settlement(promise, cost),
                        settlement(promise, cost),
                        settlement(promise, cost, answered=False),
                        abandoned(promise),
                        Settlement(promise.completion_id, (), 0),
                    ]
                )
            )
        posted = post(*batch, at_us=at_us)
        made += [o for o in batch if isinstance(o, Reservation) and o.completion_id not in posted.refused]
        books = read_books(database)
        assert differences(books) == []
        of = {each.id: each.limit_nano_usd for each in limits}
        for row in books.counters:
            assert row["spent_nano_usd"] + row["reserved_nano_usd"] <= of[row["budget_id"]]
    assert read_books(database).spent > 0
