"""What is told of calls and of the ledger as they go on, for traces, metrics and logs. Nothing here fails or waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.chat import Conversation
from muxer_grpc.domain.completion import Completion, Summary
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.money import Usage
from muxer_grpc.domain.tenancy import Principal

Headers = Mapping[str, str]
NO_HEADERS: Headers = {}


class CompletionTrace(Protocol):
    """Follows one completion, from its first attempt to its end."""

    @property
    def wants_content(self) -> bool:
        """Tells whether the whole answer is wanted at the end."""
        ...

    def attempt_began(self, number: int, model: Model) -> Headers:
        """Is told that an attempt is about to be made; gives the headers that go to its provider with it."""
        ...

    def ended(self, summary: Summary, answer: Completion | None) -> None:
        """Is told, once, how the completion ended."""
        ...


class SideCall(NamedTuple):
    """A call of a model that helps to decide: how long it took (seconds), what it used and cost, how it failed."""

    model: Model
    seconds: float
    usage: Usage
    cost_nano_usd: int
    failure: str = ""


class CallTrace(Protocol):
    """Follows one call, from its arrival to its status."""

    def called_by(self, principal: Principal) -> None:
        """Is told who calls."""
        ...

    def decided(self, decision: Decision, seconds: float) -> None:
        """Is told what was decided, and how long that took."""
        ...

    def completion_began(
        self, completion_id: str, conversation: Conversation, decision: Decision, *, stream: bool
    ) -> CompletionTrace | None:
        """Is told that a completion begins; gives what follows it, where somebody wants to."""
        ...

    def asked(self, side: SideCall) -> None:
        """Is told of a model that was asked to help with the decision, once that is over."""
        ...

    def noted(self, name: str, value: str | float) -> None:
        """Is told one thing about the call, under a name of the table of telemetry's own names, without its prefix."""
        ...


class CallEnd(NamedTuple):
    """How a call ended: the name of its gRPC status code, and the reason of its error.

    `defect` tells of an error of the service itself.
    """

    code: str
    reason: str = ""
    defect: bool = False


class CallObserver(Protocol):
    """Learns of every call."""

    def began(self, method: str, metadata: Sequence[tuple[str, str | bytes]]) -> CallTrace:
        """Is told that a call of a method (`package.Service/Method`) came, and what metadata it brought."""
        ...

    def ended(self, trace: CallTrace, end: CallEnd) -> None:
        """Is told, once per call, how it ended."""
        ...


class LedgerObserver(Protocol):
    """Learns of what the ledger's writer does."""

    def committed(self, seconds: float, changes: int, reserved_nano_usd: int, settled_nano_usd: int) -> None:
        """Is told of a transaction: how long it took, how many changes, and what it reserved and settled."""
        ...

    def failed(self) -> None:
        """Is told that a transaction failed."""
        ...
