"""The tables, for SQLite and PostgreSQL alike. Migrations make them; this module is what code speaks of them by.

Money is in nano-USD, times are microseconds since the epoch, both in 64-bit integers. Constraints guard what code
promises: no counter below zero, no entry twice, nothing of a tenant that is not there.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself in columns of exactly this type only.
Sequence64 = BigInteger().with_variant(Integer, "sqlite")

ID = String(64)
# Users are named by e-mail addresses, subjects of tokens, accounts of services; ASCII, so that characters are bytes.
USER_ID = String(128)
NAME = String(256)


def _us(name: str, *, nullable: bool = False) -> Column[int]:
    """Makes a column that holds a time."""
    return Column(name, BigInteger, nullable=nullable)


def _of_tenant() -> Column[str]:
    return Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False)


tenants = Table(
    "tenants",
    metadata,
    Column("id", ID, primary_key=True),
    Column("display_name", NAME, nullable=False, default=""),
    Column("suspended", Boolean, nullable=False, default=False),
    Column("policy", JSON, nullable=False, default=dict),
    Column("requests_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    # Counts the changes of the tenant's budgets, so that a writer knows whether those it remembers still hold.
    Column("budgets_revision", BigInteger, nullable=False, default=0, server_default="0"),
    Column("revision", BigInteger, nullable=False, default=1),
    _us("created_us"),
    _us("updated_us"),
)

users = Table(
    "users",
    metadata,
    _of_tenant(),
    Column("id", USER_ID, nullable=False),
    Column("display_name", NAME, nullable=False, default=""),
    Column("role", String(16), nullable=False),
    Column("suspended", Boolean, nullable=False, default=False),
    Column("revision", BigInteger, nullable=False, default=1),
    _us("created_us"),
    _us("updated_us"),
    PrimaryKeyConstraint("tenant_id", "id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", ID, primary_key=True),
    _of_tenant(),
    Column("user_id", USER_ID, nullable=False),
    Column("display_name", NAME, nullable=False, default=""),
    # What may be shown of the key: its beginning. The secret itself is nowhere; `digest` is its peppered HMAC.
    Column("prefix", String(32), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("role", String(16), nullable=False),
    Column("requests_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    _us("expires_us", nullable=True),
    _us("revoked_us", nullable=True),
    # The key that this one takes over from, where it came of a rotation.
    Column("rotated_from", ID),
    Column("revision", BigInteger, nullable=False, default=1),
    _us("created_us"),
    _us("updated_us"),
    ForeignKeyConstraint(["tenant_id", "user_id"], ["users.tenant_id", "users.id"]),
    Index(None, "tenant_id", "user_id"),
)

budgets = Table(
    "budgets",
    metadata,
    Column("id", ID, primary_key=True),
    _of_tenant(),
    # Empty: the budget is the whole tenant's.
    Column("user_id", USER_ID, nullable=False, default=""),
    Column("key_id", ID, nullable=False, default=""),
    Column("period", String(16), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("limit_nano_usd", BigInteger, nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("alert_shares", JSON, nullable=False),
    Column("revision", BigInteger, nullable=False, default=1),
    _us("created_us"),
    _us("updated_us"),
    CheckConstraint("limit_nano_usd >= 0", name="limit_not_negative"),
    Index(None, "tenant_id"),
)

budget_counters = Table(
    "budget_counters",
    metadata,
    Column("budget_id", ID, ForeignKey("budgets.id", ondelete="CASCADE"), nullable=False),
    _us("period_start_us"),
    Column("spent_nano_usd", BigInteger, nullable=False, default=0),
    Column("reserved_nano_usd", BigInteger, nullable=False, default=0),
    Column("alerted_share", Integer, nullable=False, default=0),
    PrimaryKeyConstraint("budget_id", "period_start_us"),
    CheckConstraint("spent_nano_usd >= 0", name="spent_not_negative"),
    CheckConstraint("reserved_nano_usd >= 0", name="reserved_not_negative"),
)

money_leases = Table(
    "money_leases",
    metadata,
    Column("id", ID, primary_key=True),
    _of_tenant(),
    Column("user_id", USER_ID, nullable=False),
    Column("key_id", ID, nullable=False, default=""),
    Column("amount_nano_usd", BigInteger, nullable=False),
    Column("spent_nano_usd", BigInteger, nullable=False, default=0),
    Column("reserved_nano_usd", BigInteger, nullable=False, default=0),
    Column("released", Boolean, nullable=False, default=False),
    Column("labels", JSON, nullable=False, default=dict),
    _us("created_us"),
    _us("expires_us"),
    CheckConstraint("spent_nano_usd >= 0", name="spent_not_negative"),
    CheckConstraint("reserved_nano_usd >= 0", name="reserved_not_negative"),
    Index(None, "tenant_id"),
    Index(None, "released", "expires_us"),
)

# Open promises only: settling one deletes its row in the transaction that writes its entries. They are few, so that who
# looks for some reads all: an index more would be written twice in the path of every completion.
reservations = Table(
    "reservations",
    metadata,
    Column("completion_id", ID, primary_key=True),
    _of_tenant(),
    Column("user_id", USER_ID, nullable=False),
    Column("key_id", ID, nullable=False, default=""),
    Column("money_lease_id", ID, nullable=False, default=""),
    Column("amount_nano_usd", BigInteger, nullable=False),
    Column("expected_nano_usd", BigInteger, nullable=False),
    Column("decision_id", ID, nullable=False, default=""),
    Column("model", NAME, nullable=False, default=""),
    Column("provider", NAME, nullable=False, default=""),
    Column("price_book_version", ID, nullable=False, default=""),
    Column("request_id", NAME, nullable=False, default=""),
    Column("instance_id", ID, nullable=False),
    _us("created_us"),
    _us("lease_until_us"),
    CheckConstraint("amount_nano_usd >= 0", name="amount_not_negative"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("completion_id", ID, nullable=False),
    Column("attempt", Integer, nullable=False),
    _of_tenant(),
    Column("user_id", USER_ID, nullable=False),
    Column("key_id", ID, nullable=False, default=""),
    Column("principal", NAME, nullable=False, default=""),
    Column("request_id", NAME, nullable=False, default=""),
    Column("decision_id", ID, nullable=False, default=""),
    Column("money_lease_id", ID, nullable=False, default=""),
    Column("strategy", ID, nullable=False, default=""),
    Column("intent", ID, nullable=False, default=""),
    Column("requested_model", NAME, nullable=False, default=""),
    Column("model", NAME, nullable=False, default=""),
    Column("provider", NAME, nullable=False, default=""),
    Column("reported_model", NAME, nullable=False, default=""),
    Column("outcome", String(16), nullable=False),
    Column("failure_class", String(32), nullable=False, default=""),
    Column("usage_source", String(16), nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("cache_write_1h_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cost_nano_usd", BigInteger, nullable=False),
    Column("cost_pico_usd", BigInteger, nullable=False),
    Column("reserved_nano_usd", BigInteger, nullable=False),
    Column("price_book_version", ID, nullable=False, default=""),
    Column("streamed", Boolean, nullable=False, default=False),
    Column("flagged", Boolean, nullable=False, default=False),
    Column("labels", JSON, nullable=False, default=dict),
    Column("duration_us", BigInteger, nullable=False, default=0),
    Column("first_token_us", BigInteger),
    # When it was reserved, which says in which periods it counts, and when it was settled.
    _us("created_us"),
    _us("settled_us"),
    UniqueConstraint("completion_id", "attempt"),
    CheckConstraint("cost_nano_usd >= 0", name="cost_not_negative"),
    Index(None, "tenant_id", "created_us"),
    Index(None, "settled_us"),
)

idempotent_requests = Table(
    "idempotent_requests",
    metadata,
    _of_tenant(),
    Column("request_id", NAME, nullable=False),
    Column("completion_id", ID, nullable=False),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("done", Boolean, nullable=False, default=False),
    # Sealed with a key made from the request itself: only who sends the same request again can open it.
    Column("answer", LargeBinary),
    _us("created_us"),
    _us("expires_us"),
    PrimaryKeyConstraint("tenant_id", "request_id"),
    Index(None, "completion_id"),
    Index(None, "expires_us"),
)

price_books = Table(
    "price_books",
    metadata,
    Column("version", ID, primary_key=True),
    Column("source", NAME, nullable=False),
    Column("note", String(1024), nullable=False, default=""),
    # By model: prices per token in pico-USD, by kind and tier.
    Column("prices", JSON, nullable=False),
    Column("created_by", NAME, nullable=False, default=""),
    _us("created_us"),
    _us("effective_us"),
    Index(None, "effective_us"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", ID, primary_key=True),
    _of_tenant(),
    Column("user_id", USER_ID, nullable=False),
    Column("completion_id", ID, nullable=False, default=""),
    Column("strategy", ID, nullable=False),
    Column("intent", ID, nullable=False),
    Column("selected_model", NAME, nullable=False),
    # The spec's fingerprint, so that Complete takes a decision up for the same spec only. No prompt stands in here.
    Column("fingerprint", LargeBinary(32)),
    # A RouteDecision message.
    Column("document", LargeBinary, nullable=False),
    _us("created_us"),
    _us("expires_us"),
    Index(None, "tenant_id", "created_us"),
    Index(None, "expires_us"),
)

contents = Table(
    "contents",
    metadata,
    Column("completion_id", ID, primary_key=True),
    _of_tenant(),
    Column("prompt_digest", LargeBinary(32), nullable=False),
    Column("answer_digest", LargeBinary(32), nullable=False),
    Column("prompt", LargeBinary),
    Column("answer", LargeBinary),
    _us("created_us"),
    _us("expires_us"),
    Index(None, "tenant_id", "created_us"),
    Index(None, "expires_us"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    # Whose resource was changed; no foreign key, so that what was done outlives whom it was done to.
    Column("tenant_id", ID, nullable=False, default=""),
    Column("principal", NAME, nullable=False),
    Column("action", ID, nullable=False),
    Column("resource", NAME, nullable=False),
    Column("before", JSON),
    Column("after", JSON),
    _us("created_us"),
    Index(None, "tenant_id", "seq"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    _of_tenant(),
    Column("budget_id", ID, nullable=False),
    Column("user_id", USER_ID, nullable=False, default=""),
    Column("key_id", ID, nullable=False, default=""),
    _us("period_start_us"),
    Column("share", Integer, nullable=False),
    Column("spent_nano_usd", BigInteger, nullable=False),
    Column("limit_nano_usd", BigInteger, nullable=False),
    _us("created_us"),
    UniqueConstraint("budget_id", "period_start_us", "share"),
    Index(None, "tenant_id", "seq"),
)

# What operators set while the service runs: all replicas follow it. A row is never deleted, so that its revision grows.
overrides = Table(
    "overrides",
    metadata,
    Column("kind", String(16), nullable=False),
    Column("name", NAME, nullable=False),
    Column("value", JSON, nullable=False),
    Column("revision", BigInteger, nullable=False),
    _us("updated_us"),
    Column("updated_by", NAME, nullable=False),
    PrimaryKeyConstraint("kind", "name"),
)
