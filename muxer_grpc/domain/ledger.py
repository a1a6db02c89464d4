"""What the ledger holds: reservations, which are promises to pay, and entries, which are what was paid.

Money is in nano-USD, times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.money import NO_USAGE, Usage
from muxer_grpc.domain.records import record
from muxer_grpc.domain.tenancy import Subject


class EntryOutcome(Named):
    """Says how the attempt of an entry ended. ABANDONED: the process died before it could say."""

    COMPLETE = "complete"
    LENGTH = "length"
    FILTERED = "filtered"
    CANCELLED = "cancelled"
    FAILED = "failed"
    ABANDONED = "abandoned"


@record
class Reservation:
    """A promise to pay at most `amount_nano_usd`, made before the first attempt.

    `expected_nano_usd` is booked when the process dies before it can settle. After `lease_until_us` anybody may settle
    it so. With a `money_lease_id` it is held on that lease of money instead of on the budgets. `request_id` and
    `fingerprint` make it idempotent, where they are given.
    """

    completion_id: str
    subject: Subject
    amount_nano_usd: int
    expected_nano_usd: int
    created_us: int
    lease_until_us: int
    instance_id: str
    decision_id: str = ""
    model: str = ""
    provider: str = ""
    price_book_version: str = ""
    money_lease_id: str = ""
    request_id: str = ""
    fingerprint: bytes = b""
    idempotent_until_us: int = 0


@record
class LedgerEntry:
    """One attempt as it was paid for. The sum of a completion's entries is its cost; durations are microseconds."""

    completion_id: str
    attempt: int
    subject: Subject
    cost_nano_usd: int
    cost_pico_usd: int
    outcome: EntryOutcome
    created_us: int
    settled_us: int
    principal: str = ""
    request_id: str = ""
    decision_id: str = ""
    strategy: str = ""
    intent: str = ""
    requested_model: str = ""
    model: str = ""
    provider: str = ""
    reported_model: str = ""
    failure_class: str = ""
    usage: Usage = NO_USAGE
    price_book_version: str = ""
    reserved_nano_usd: int = 0
    money_lease_id: str = ""
    duration_us: int = 0
    first_token_us: int | None = None
    streamed: bool = False
    flagged: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@record
class KeptDecision:
    """A decision as history keeps it: its document holds no prompt. `completion_id` is empty for a dry run."""

    decision_id: str
    subject: Subject
    strategy: str
    intent: str
    selected_model: str
    fingerprint: bytes
    document: bytes
    created_us: int
    expires_us: int
    completion_id: str = ""


@dataclass(frozen=True, slots=True)
class RoutedDecision:
    """What a decision of Route is taken up by, in whatever process: the fingerprint of its spec, and its document."""

    fingerprint: bytes
    document: bytes


@dataclass(frozen=True, slots=True)
class KeptContent:
    """A prompt and its answer as the tenant's policy has them kept: as keyed digests, and as text or not."""

    prompt_digest: bytes
    answer_digest: bytes
    expires_us: int
    prompt: bytes | None = None
    answer: bytes | None = None


@record
class Settlement:
    """What a completion came to: its entries, and its answer where a request id makes it repeatable (sealed bytes).

    `answered` is false where the same request id may try again, since nothing came of this completion.
    """

    completion_id: str
    entries: tuple[LedgerEntry, ...]
    settled_us: int
    request_id: str = ""
    answered: bool = False
    answer: bytes | None = None
    decision: KeptDecision | None = None
    content: KeptContent | None = None

    @property
    def cost_nano_usd(self) -> int:
        """Sums the entries."""
        return sum(entry.cost_nano_usd for entry in self.entries)

    @property
    def provisional(self) -> bool:
        """Tells whether this is no word of whoever ran the completion: taken back untold, or guessed by a sweeper."""
        return all(entry.outcome is EntryOutcome.ABANDONED for entry in self.entries)


class RequestState(Named):
    """Says how far the completion of a request id is."""

    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class KnownRequest:
    """A request id that was seen before: whose completion it is, how far that is, and its sealed answer."""

    completion_id: str
    state: RequestState
    fingerprint: bytes
    answer: bytes | None = None
