"""The statements of the ledger's writer, in the SQL that SQLite and PostgreSQL share.

Written out, and run on the driver's own connection: through SQLAlchemy's Core the same transaction takes several times
the CPU, and two of them stand in the path of every completion. A `?` is a parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from muxer_grpc.domain.ledger import LedgerEntry, Reservation

# Batches are of up to 256, and some ten statements are written for the size of each.
KEPT_STATEMENTS = 1_024
# Columns for names hold so many characters; see schema.NAME.
MOST_CHARACTERS = 256

TENANTS = "SELECT id, budgets_revision FROM tenants WHERE id IN ({many}) ORDER BY id"
BUDGETS = (
    "SELECT id, tenant_id, period, limit_nano_usd, user_id, key_id, time_zone, hard, alert_shares FROM budgets"
    " WHERE tenant_id IN ({many}) ORDER BY id"
)
COUNTERS = (
    "SELECT budget_id, period_start_us, spent_nano_usd, reserved_nano_usd, alerted_share FROM budget_counters"
    " WHERE (budget_id, period_start_us) IN (VALUES {many}) ORDER BY budget_id, period_start_us"
)
ADD_COUNTERS = (
    "INSERT INTO budget_counters (budget_id, period_start_us, spent_nano_usd, reserved_nano_usd, alerted_share)"
    " VALUES (?, ?, 0, 0, 0) ON CONFLICT DO NOTHING"
)
SET_COUNTERS = (
    "UPDATE budget_counters SET spent_nano_usd = ?, reserved_nano_usd = ?, alerted_share = ?"
    " WHERE budget_id = ? AND period_start_us = ?"
)
LEASES = (
    "SELECT id, tenant_id, user_id, key_id, amount_nano_usd, spent_nano_usd, reserved_nano_usd, released, created_us,"
    " expires_us, labels FROM money_leases WHERE id IN ({many}) ORDER BY id"
)
SET_LEASES = "UPDATE money_leases SET spent_nano_usd = ?, reserved_nano_usd = ?, released = ? WHERE id = ?"
ADD_LEASES = (
    "INSERT INTO money_leases (id, tenant_id, user_id, key_id, amount_nano_usd, spent_nano_usd, reserved_nano_usd,"
    " released, labels, created_us, expires_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
KNOWN_LEASES = "SELECT id FROM money_leases WHERE id IN ({many})"

RESERVATION_COLUMNS = (
    "completion_id, tenant_id, user_id, key_id, money_lease_id, amount_nano_usd, expected_nano_usd, decision_id, model,"
    " provider, price_book_version, request_id, instance_id, created_us, lease_until_us"
)
ADD_RESERVATIONS = f"INSERT INTO reservations ({RESERVATION_COLUMNS}) VALUES ({', '.join('?' * 15)})"
TAKE_RESERVATIONS = (
    "DELETE FROM reservations WHERE completion_id IN ({many})"
    " RETURNING completion_id, tenant_id, user_id, key_id, money_lease_id, amount_nano_usd, created_us"
)
TAKE_ABANDONED = (
    "DELETE FROM ledger_entries WHERE completion_id IN ({many}) AND outcome = 'abandoned'"
    " RETURNING completion_id, tenant_id, user_id, key_id, money_lease_id, cost_nano_usd, created_us"
)
OPEN_RESERVATIONS = "SELECT completion_id FROM reservations WHERE completion_id IN ({many})"

ENTRY_COLUMNS = (
    "completion_id, attempt, tenant_id, user_id, key_id, principal, request_id, decision_id, money_lease_id, strategy,"
    " intent, requested_model, model, provider, reported_model, outcome, failure_class, usage_source, input_tokens,"
    " cached_input_tokens, cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, cost_nano_usd,"
    " cost_pico_usd, reserved_nano_usd, price_book_version, streamed, flagged, labels, duration_us, first_token_us,"
    " created_us, settled_us"
)
ADD_ENTRIES = f"INSERT INTO ledger_entries ({ENTRY_COLUMNS}) VALUES ({', '.join('?' * 35)})"

# One that is still under way is known for as long as it is.
FORGET_REQUESTS = (
    "DELETE FROM idempotent_requests WHERE expires_us < ? AND (tenant_id, request_id) IN (VALUES {many}) AND (done OR"
    " completion_id NOT IN (SELECT completion_id FROM reservations"
    " WHERE reservations.completion_id = idempotent_requests.completion_id))"
)
KNOWN_REQUESTS = (
    "SELECT tenant_id, request_id, completion_id, done, fingerprint, answer FROM idempotent_requests"
    " WHERE (tenant_id, request_id) IN (VALUES {many})"
)
ADD_REQUESTS = (
    "INSERT INTO idempotent_requests (tenant_id, request_id, completion_id, fingerprint, done, created_us, expires_us)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
ANSWER_REQUESTS = "UPDATE idempotent_requests SET done = ?, answer = ? WHERE completion_id = ?"
DROP_REQUESTS = "DELETE FROM idempotent_requests WHERE completion_id IN ({many})"

# PostgreSQL's: until the transaction ends, nobody else numbers alerts. The number is any that nothing else locks by.
LOCK_ALERTS = "SELECT pg_advisory_xact_lock(7211408)"
ADD_ALERTS = (
    "INSERT INTO alerts (tenant_id, budget_id, user_id, key_id, period_start_us, share, spent_nano_usd, limit_nano_usd,"
    " created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
ADD_DECISIONS = (
    "INSERT INTO decisions (id, tenant_id, user_id, completion_id, strategy, intent, selected_model, fingerprint,"
    " document, created_us, expires_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET completion_id = excluded.completion_id"
)
ADD_CONTENTS = (
    "INSERT INTO contents (completion_id, tenant_id, prompt_digest, answer_digest, prompt, answer, created_us,"
    " expires_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)


@lru_cache(KEPT_STATEMENTS)
def many(rows: int, columns: int = 1) -> str:
    """Writes the parameters of a list of values, or of a list of rows."""
    row = "?" if columns == 1 else f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)


def fitted(text: str) -> str:
    """Gives what fits into a column for names, of a text that others chose: PostgreSQL refuses more, and NUL."""
    return text.replace("\0", "")[:MOST_CHARACTERS]


def reservation_row(reservation: Reservation) -> tuple[object, ...]:
    """Lists a reservation's values as RESERVATION_COLUMNS does."""
    subject = reservation.subject
    return (
        reservation.completion_id,
        subject.tenant_id,
        subject.user_id,
        subject.key_id,
        reservation.money_lease_id,
        reservation.amount_nano_usd,
        reservation.expected_nano_usd,
        reservation.decision_id,
        reservation.model,
        reservation.provider,
        reservation.price_book_version,
        reservation.request_id,
        reservation.instance_id,
        reservation.created_us,
        reservation.lease_until_us,
    )


def entry_row(entry: LedgerEntry, labels: str) -> tuple[object, ...]:
    """Lists an entry's values as ENTRY_COLUMNS does; `labels` are its labels as JSON."""
    subject, usage = entry.subject, entry.usage
    return (
        entry.completion_id,
        entry.attempt,
        subject.tenant_id,
        subject.user_id,
        subject.key_id,
        fitted(entry.principal),
        entry.request_id,
        entry.decision_id,
        entry.money_lease_id,
        entry.strategy,
        entry.intent,
        entry.requested_model,
        entry.model,
        entry.provider,
        fitted(entry.reported_model),
        entry.outcome.value,
        entry.failure_class,
        usage.source.value,
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.cache_write_1h_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        entry.cost_nano_usd,
        entry.cost_pico_usd,
        entry.reserved_nano_usd,
        entry.price_book_version,
        entry.streamed,
        entry.flagged,
        labels,
        entry.duration_us,
        entry.first_token_us,
        entry.created_us,
        entry.settled_us,
    )


class Cursor:
    """A driver's cursor, which is given statements with `?` whatever the driver calls its parameters."""

    def __init__(self, cursor: object, *, question_marks: bool) -> None:
        self._cursor = cursor
        self._question_marks = question_marks

    def run(self, statement: str, parameters: Sequence[object] = ()) -> None:
        """Runs a statement."""
        self._cursor.execute(self._own(statement), parameters)  # type: ignore[attr-defined]

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Runs a statement and lists the rows that it gives."""
        self.run(statement, parameters)
        found: list[tuple[object, ...]] = self._cursor.fetchall()  # type: ignore[attr-defined]
        return found

    def each(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Runs a statement once for each row of parameters."""
        if len(rows) == 1:
            self.run(statement, rows[0])
        elif rows:
            self._cursor.executemany(self._own(statement), rows)  # type: ignore[attr-defined]

    @property
    def locks(self) -> bool:
        """Tells whether rows are locked one by one; SQLite locks the whole database."""
        return not self._question_marks

    def _own(self, statement: str) -> str:
        return statement if self._question_marks else _percent(statement)


@lru_cache(KEPT_STATEMENTS)
def _percent(statement: str) -> str:
    return statement.replace("?", "%s")
