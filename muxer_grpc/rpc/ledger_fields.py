"""What is asked of the ledger, read from the wire, and its entries, written to it."""

from __future__ import annotations

from google.protobuf import duration_pb2
from muxer.v1 import ledger_pb2

from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.reporting import EntryFilter, EntryRecord
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.domain.tenancy import Principal
from muxer_grpc.rpc.admin_fields import NANOSECONDS, check_made_id, check_tenant_id, check_user_id, time_message
from muxer_grpc.rpc.enums import ENTRY_OUTCOME_OF, ENTRY_OUTCOMES, FAILURE_CLASSES, INTENT_OF, INTENTS
from muxer_grpc.rpc.listings import check_text, read_span
from muxer_grpc.rpc.replies import usage_message
from muxer_grpc.rpc.requests import MAX_LABEL_KEY_CHARACTERS, MAX_LABEL_VALUE_CHARACTERS
from muxer_grpc.rpc.tenant_access import tenants_meant
from muxer_grpc.rpc.violations import Violations, quote

MAX_FILTER_LABELS = 8
MAX_NAME_CHARACTERS = 256


def read_filter(given: ledger_pb2.LedgerFilter, principal: Principal, path: str, violations: Violations) -> EntryFilter:
    """Reads what narrows a report, within what the principal may see. Raises PermissionDenied."""
    tenant_id = tenants_meant(principal, given.tenant_id)
    if tenant_id is not None:
        check_tenant_id(tenant_id, f"{path}tenant_id", violations)
    check_subject(given.user_id, given.key_id, path, violations)
    for name in ("model", "provider", "strategy", "request_id", "money_lease_id"):
        check_text(getattr(given, name), f"{path}{name}", MAX_NAME_CHARACTERS, violations)
    outcome = None
    if given.outcome:
        outcome = ENTRY_OUTCOME_OF.get(given.outcome)
        violations.check(outcome is not None, f"{path}outcome", "unknown", f"{given.outcome} is not an outcome")
    since = given.since if given.HasField("since") else None
    until = given.until if given.HasField("until") else None
    since_us, until_us = read_span(since, until, path, violations)
    return EntryFilter(
        tenant_id=tenant_id,
        user_id=given.user_id,
        key_id=given.key_id,
        model=given.model,
        provider=given.provider,
        intent=read_intent(given.intent, f"{path}intent", violations),
        strategy=given.strategy,
        outcome=outcome,
        labels=_read_labels(given, f"{path}labels", violations),
        since_us=since_us,
        until_us=until_us,
        request_id=given.request_id,
        money_lease_id=given.money_lease_id,
        flagged=given.flagged if given.HasField("flagged") else None,
    )


def check_subject(user_id: str, key_id: str, path: str, violations: Violations) -> None:
    """Checks the names of a user and a key, where they are given."""
    if user_id:
        check_user_id(user_id, f"{path}user_id", violations)
    if key_id:
        check_made_id(key_id, f"{path}key_id", violations)


def read_intent(number: int, path: str, violations: Violations) -> str:
    """Reads an intent as the ledger names it; nothing for none."""
    if not number:
        return ""
    intent = INTENT_OF.get(number)
    violations.check(intent is not None, path, "unknown", f"{number} is not an intent")
    return "" if intent is None else intent.value


def check_label_key(key: str, path: str, violations: Violations) -> None:
    """Checks the key of a label."""
    fits = 0 < len(key) <= MAX_LABEL_KEY_CHARACTERS and "\0" not in key
    violations.check(fits, path, "length", f"give keys of 1 to {MAX_LABEL_KEY_CHARACTERS} characters")


def intent_number(intent: str) -> int:
    """Writes an intent as the ledger names it; one that is not known any more is unspecified."""
    known = next((each for each in Intent if each.value == intent), None)
    return 0 if known is None else INTENTS[known]


def entry_message(record: EntryRecord) -> ledger_pb2.LedgerEntry:
    """Writes an entry."""
    entry = record.entry
    failed = next((each for each in FailureClass if each.value == entry.failure_class), None)
    first = entry.first_token_us
    return ledger_pb2.LedgerEntry(
        sequence=record.sequence,
        completion_id=entry.completion_id,
        attempt=entry.attempt,
        tenant_id=entry.subject.tenant_id,
        user_id=entry.subject.user_id,
        key_id=entry.subject.key_id,
        principal=entry.principal,
        request_id=entry.request_id,
        decision_id=entry.decision_id,
        money_lease_id=entry.money_lease_id,
        strategy=entry.strategy,
        intent=intent_number(entry.intent),  # type: ignore[arg-type]
        requested_model=entry.requested_model,
        model=entry.model,
        provider=entry.provider,
        reported_model=entry.reported_model,
        outcome=ENTRY_OUTCOMES[entry.outcome],  # type: ignore[arg-type]
        failure_class=0 if failed is None else FAILURE_CLASSES[failed],  # type: ignore[arg-type]
        usage=usage_message(entry.usage),
        cost_nano_usd=entry.cost_nano_usd,
        cost_pico_usd=entry.cost_pico_usd,
        reserved_nano_usd=entry.reserved_nano_usd,
        price_book_version=entry.price_book_version,
        streamed=entry.streamed,
        flagged=entry.flagged,
        labels=dict(entry.labels),
        duration=_span(entry.duration_us),
        time_to_first_token=None if first is None else _span(first),
        create_time=time_message(entry.created_us),
        settle_time=time_message(entry.settled_us),
    )


def _span(microseconds: int) -> duration_pb2.Duration:
    seconds, rest = divmod(microseconds, MICROSECONDS)
    return duration_pb2.Duration(seconds=seconds, nanos=rest * NANOSECONDS)


def _read_labels(given: ledger_pb2.LedgerFilter, path: str, violations: Violations) -> dict[str, str]:
    labels = dict(given.labels)
    violations.check(len(labels) <= MAX_FILTER_LABELS, path, "too_many", f"give at most {MAX_FILTER_LABELS} labels")
    for key, value in list(labels.items())[:MAX_FILTER_LABELS]:
        check_label_key(key, f"{path}[{quote(key)}]", violations)
        check_text(value, f"{path}[{quote(key)}]", MAX_LABEL_VALUE_CHARACTERS, violations)
    return labels
