"""What the domain needs from outside; adapters implement these. At most five methods each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from typing import Protocol

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.completion import Completion, ProviderEvent, ProviderRequest, Summary
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.directory import Account, ApiKey
from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.ledger import KeptDecision, KnownRequest, Reservation, RoutedDecision, Settlement
from muxer_grpc.domain.tenancy import Credentials, Principal, Role


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found: whether the provider answers, how fast (seconds), and the vendor models it offers."""

    ok: bool
    latency_seconds: float
    models: tuple[str, ...] = ()
    failure_class: FailureClass | None = None


class Provider(Protocol):
    """A vendor connection."""

    def stream(self, request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        """Calls the model and yields its answer as it comes.

        The last event is Finished, preceded by at most one UsageReported that counts. Neighbouring deltas that were
        ready together come merged. Raises ProviderFailure for everything that goes wrong, an answer that ends
        before the vendor said why it stopped included. Closing the generator ends the call at the vendor.
        """
        ...

    async def probe(self) -> ProbeResult:
        """Asks the vendor for a sign of life, at no cost. Never raises ProviderFailure; says it in the result."""
        ...

    async def aclose(self) -> None:
        """Closes all connections."""
        ...


class CompletionObserver(Protocol):
    """Learns of every completion's beginning and end."""

    def began(self) -> None:
        """Is told that a completion began."""
        ...

    def ended(self, summary: Summary, now: float) -> None:
        """Is told, exactly once per completion, how it ended; `now` is in seconds since the epoch."""
        ...


class Identity(Protocol):
    """Knows who calls."""

    async def authenticate(self, credentials: Credentials, now: float) -> Principal:
        """Proves who calls; `now` is in seconds since the epoch. Raises Unauthenticated, PermissionDenied."""
        ...


class RateLimiter(Protocol):
    """Counts requests and tokens per minute, per key and per tenant."""

    def limits(self, principal: Principal) -> bool:
        """Tells whether anything limits a principal; nobody else needs to be admitted."""
        ...

    async def admit_request(self, principal: Principal) -> None:
        """Counts a request. Raises RateLimited, and then has counted nothing."""
        ...

    async def admit_tokens(self, principal: Principal, tokens: int) -> None:
        """Counts the tokens that a request may take. Raises RateLimited, and then has counted nothing."""
        ...


class Accounts(Protocol):
    """Keeps the ledger: a promise before the first attempt, and one settlement after the last."""

    async def reserve(self, reservation: Reservation) -> KnownRequest | None:
        """Writes a promise; when this returns None it is durable.

        Gives what is known of the request id instead, where it was seen before: then nothing was written. Raises
        BudgetExceeded, MoneyLeaseExceeded, MoneyLeaseEnded, StorageUnavailable.
        """
        ...

    def settle(self, settlement: Settlement) -> Awaitable[None]:
        """Turns a promise into entries, once: a completion that is settled already stays as it is.

        It is on its way as soon as this returns, whoever waits. Waiting raises StorageUnavailable when it takes too
        long; it goes on nonetheless, and is not forgotten.
        """
        ...

    def release(self, completion_id: str) -> None:
        """Takes back a promise that nobody was told of: nothing was called, nothing is paid."""
        ...

    def keep(self, decision: KeptDecision) -> Awaitable[None]:
        """Keeps a decision in the history; it is on its way as soon as this returns."""
        ...

    async def known(self, tenant_id: str, request_id: str) -> KnownRequest | None:
        """Looks up a request id. Raises StorageUnavailable."""
        ...


class Directory(Protocol):
    """Looks up who may call. Each method raises StorageUnavailable."""

    async def key(self, key_id: str) -> ApiKey | None:
        """Looks up a key by its public id, revoked and expired ones too."""
        ...

    async def account(self, tenant_id: str, user_id: str) -> Account | None:
        """Looks up a user and its tenant."""
        ...

    async def ensure_account(self, tenant_id: str, user_id: str, role: Role) -> Account | None:
        """Looks up a user and makes it, with the default budgets, where it is not there; None without the tenant."""
        ...


class RoutedDecisions(Protocol):
    """Knows the decisions of Route, whichever process made them."""

    async def routed(self, tenant_id: str, decision_id: str) -> RoutedDecision | None:
        """Looks up a decision of Route; None where the tenant has none of this id. Raises StorageUnavailable."""
        ...


class Documents(Protocol):
    """Writes what is kept of decisions and answers as bytes, in the contract's own messages."""

    def decision(self, decision: Decision) -> bytes:
        """Writes a decision."""
        ...

    def answer(self, completion: Completion) -> bytes:
        """Writes a whole answer."""
        ...

    def read_decision(self, document: bytes, catalogue: Catalogue) -> Decision | None:
        """Reads a decision back, with the models and prices of a catalogue of today; None where it makes no sense here.

        A model that is gone stands in it as it was told, and behind the chosen one no more.
        """
        ...


class Sealer(Protocol):
    """Seals what is kept of a caller's content, so that the storage alone tells nobody."""

    def seal(self, content: bytes, key: bytes) -> bytes:
        """Seals content with a key that is kept nowhere."""
        ...

    def open(self, sealed: bytes, key: bytes) -> bytes | None:
        """Opens what was sealed with the same key; None where it is another one."""
        ...

    def digest(self, content: bytes) -> bytes:
        """Gives a keyed digest of 32 bytes, by which equal contents can be told."""
        ...
