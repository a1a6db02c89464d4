"""One attempt at a provider: passes its deltas on, and keeps what is needed to account for it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.completion import (
    OUTCOME_OF_FINISH,
    Attempt,
    Delta,
    Finished,
    ModelReported,
    Outcome,
    ProviderRequest,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import FREE, NO_USAGE, Cost, Usage, UsageSource, cost_of
from muxer_grpc.domain.ports import Provider
from muxer_grpc.pipeline.time_limit import TimeLimit

# Of the pieces of an answer only the length is kept: about four characters make a token of English text.
CHARACTERS_PER_TOKEN = 4


class AttemptRun:
    """Runs one attempt and observes it. Times are in seconds of a steady clock."""

    def __init__(self, number: int, provider: Provider, request: ProviderRequest, input_tokens: int) -> None:
        self._number = number
        self._provider = provider
        self._request = request
        self._input_tokens = input_tokens
        self._began = time.perf_counter()
        self._ended: float | None = None
        self._received_characters = 0
        self._usage: Usage | None = None
        self.first_token_at: float | None = None
        self.finished: Finished | None = None
        self.reported_model = ""
        self.failure: ProviderFailure | None = None
        # Another attempt beside this one answered first.
        self.left_behind = False
        # Since when breakers let it pass, by the event loop's clock.
        self.admitted_at = 0.0

    @property
    def model(self) -> Model:
        """Gives the model that is tried."""
        return self._request.model

    @property
    def started(self) -> bool:
        """Tells whether a piece of the answer came."""
        return self.first_token_at is not None

    async def deltas(
        self, limit: TimeLimit, first_token_seconds: float | None = None, gap_seconds: float | None = None
    ) -> AsyncGenerator[Delta, None]:
        """Yields the pieces of the answer. Raises ProviderFailure, and what the limit raises when time is up.

        With timers, a provider that keeps silent for longer before its first piece, or between two, has failed.
        """
        silent = ProviderFailure(FailureClass.TIMEOUT, "the provider kept silent for longer than others could wait")
        limit.have_patience(first_token_seconds, silent)
        try:
            async with aclosing(self._provider.stream(self._request)) as events:
                while True:
                    try:
                        event = await limit.wait(events.__anext__)
                    except StopAsyncIteration:
                        break
                    if isinstance(event, UsageReported):
                        self._usage = event.usage
                    elif isinstance(event, Finished):
                        self.finished = event
                    elif isinstance(event, ModelReported):
                        self.reported_model = event.reported_model
                    else:
                        self._note(event)
                        yield event
                        if gap_seconds is not None:
                            # From here on: how long the caller took is not the provider's silence.
                            limit.have_patience(gap_seconds, silent)
            if self.finished is None:
                raise ProviderFailure(FailureClass.PROTOCOL, "the adapter ended an answer without its end")
        except ProviderFailure as failure:
            self.failure = failure
            raise
        finally:
            self._ended = time.perf_counter()

    def _note(self, delta: Delta) -> None:
        if self.first_token_at is None:
            self.first_token_at = time.perf_counter()
        if type(delta) is TextDelta:
            self._received_characters += len(delta.text)
        elif isinstance(delta, ToolCallDelta):
            self._received_characters += len(delta.name) + len(delta.arguments_json_fragment)
        else:
            self._received_characters += len(delta.text)

    def usage(self) -> Usage:
        """Gives the provider's counts, or an estimate when an answer began and was cut before they came."""
        if self._usage is not None:
            return self._usage
        if not self.started:
            return NO_USAGE
        output = -(-self._received_characters // CHARACTERS_PER_TOKEN)
        return Usage(input_tokens=self._input_tokens, output_tokens=output, source=UsageSource.ESTIMATED)

    def cost(self) -> Cost:
        """Gives what the attempt cost, as far as is known."""
        return cost_of(self.usage(), self.model.price or FREE)

    def record(self, outcome: Outcome) -> Attempt:
        """Describes the attempt as it ended."""
        usage = self.usage()
        failure = self.failure
        return Attempt(
            number=self._number,
            model=self.model,
            # One that failed stays failed, whatever ended the completion afterwards.
            outcome=outcome if failure is None else Outcome.FAILED,
            usage=usage,
            cost=cost_of(usage, self.model.price or FREE),
            duration=(self._ended or time.perf_counter()) - self._began,
            time_to_first_token=None if self.first_token_at is None else self.first_token_at - self._began,
            failure_class=None if failure is None else failure.failure_class,
            http_status=0 if failure is None else failure.http_status,
            vendor_code="" if failure is None else failure.vendor_code,
        )

    def outcome(self) -> Outcome:
        """Gives the outcome of an attempt that ran to its end."""
        return Outcome.FAILED if self.finished is None else OUTCOME_OF_FINISH[self.finished.reason]
