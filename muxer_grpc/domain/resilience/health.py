"""The health of all models and providers of a process: a breaker for each, and what routing needs to know of them.

Times are seconds of one clock, given by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.live import LiveSnapshot, Resting
from muxer_grpc.domain.resilience.breaker import Breaker, BreakerRules, BreakerState
from muxer_grpc.domain.resilience.treatments import TREATMENTS, Reach


class TargetHealth(NamedTuple):
    """How a model or a provider does: its breaker, its failures since the last success, the time of the next probe."""

    name: str
    state: BreakerState
    consecutive_failures: int
    retry_at: float


# Of these a probe tells: nobody answers, or only to say that nothing works. Anything else is an answer, be it that the
# key may not list models, or that there is no such list, while completions work.
PROBE_FAILURES = frozenset({FailureClass.TRANSIENT, FailureClass.TIMEOUT, FailureClass.OVERLOAD})


_STRICTNESS = (BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN, BreakerState.DISABLED)


@dataclass(slots=True)
class _Provider:
    breaker: Breaker
    # Models that failed since any of the provider's succeeded: one that fails alone speaks against itself only.
    failing: set[str] = field(default_factory=set)
    # Whether any failure since the last success came over a connection that was made: a probe that is answered says
    # nothing against it.
    answered_badly: bool = False


class Health:
    """Knows which models may be called. All methods are of the loop's thread.

    Whoever tells how a call ended tells since when it was admitted (`since`), too: see Breaker.
    """

    def __init__(self, rules: BreakerRules | None = None, *, enabled: bool = True) -> None:
        self._rules = rules or BreakerRules()
        # Switched off, only what operators do by hand counts.
        self._enabled = enabled
        self._models: dict[str, Breaker] = {}
        self._providers: dict[str, _Provider] = {}
        self._answered_at: dict[str, float] = {}
        self._told_of: tuple[object, ...] = ()
        self._told_version = ""

    def admits(self, model: Model, at: float) -> bool:
        """Lets a call of a model pass at a time, or not; half open, the one that passes is a probe."""
        breaker = self._models.get(model.name)
        provider = self._providers.get(model.provider)
        # A probe is taken at both or at none: one that nobody makes would keep its breaker half open for ever.
        if breaker is not None and not breaker.would_admit(at):
            return False
        if provider is not None and not provider.breaker.admit(at):
            return False
        return breaker is None or breaker.admit(at)

    def holds(self, model: Model, since: float) -> bool:
        """Tells whether a call that was admitted, and not made yet, may be made still: no breaker has opened since."""
        breaker, provider = self._models.get(model.name), self._providers.get(model.provider)
        return (breaker is None or breaker.holds(since)) and (provider is None or provider.breaker.holds(since))

    def succeeded(self, model: Model, now: float, since: float | None = None) -> None:
        """Learns that a model answered."""
        breaker = self._models.get(model.name)
        if breaker is not None:
            breaker.succeeded(now, since)
        self._answered_at[model.provider] = now
        provider = self._providers.get(model.provider)
        if provider is not None:
            provider.failing.clear()
            provider.answered_badly = False
            provider.breaker.succeeded(now, since)

    def failed(
        self,
        model: Model,
        failure_class: FailureClass,
        now: float,
        retry_after_seconds: float | None = None,
        *,
        unreachable: bool = False,
        since: float | None = None,
    ) -> None:
        """Learns that an attempt at a model failed; `unreachable` where nothing of the provider answered at all."""
        if not self._enabled:
            return
        treatment = TREATMENTS[failure_class]
        breaker, provider = self._of_model(model.name), self._of_provider(model.provider)
        if treatment.counts or treatment.reach is Reach.PROVIDER:
            provider.answered_badly = provider.answered_badly or not unreachable
        if treatment.counts:
            breaker.failed(now, since)
            provider.failing.add(model.name)
            if len(provider.failing) > 1:
                provider.breaker.failed(now, since)
            else:
                provider.breaker.left(since)
        else:
            breaker.left(since)
            provider.breaker.left(since)
        rest = treatment.rest_seconds if retry_after_seconds is None else retry_after_seconds
        if rest > 0 and treatment.reach is Reach.PROVIDER:
            provider.breaker.rest(now, rest)
        elif rest > 0 and treatment.reach is Reach.MODEL:
            breaker.rest(now, rest)

    def probed(self, provider: str, failure_class: FailureClass | None, now: float) -> None:
        """Learns what came of a background probe of a provider; None: it answered as it should.

        A probe that nothing answers counts as a failure of the provider, so that as many in a row as of calls open its
        breaker. One that is answered well proves that the provider can be reached, and no more: a list of models is
        served while completions fail. So it closes the breaker only where nothing but probes and connections failed
        since the last success; the breakers of models are left to calls of theirs.
        """
        if failure_class is None:
            known = self._providers.get(provider)
            if known is None or known.answered_badly:
                return
            if known.breaker.consecutive_failures or known.breaker.state(now) is not BreakerState.CLOSED:
                known.failing.clear()
                known.breaker.reset()
        elif self._enabled and failure_class in PROBE_FAILURES:
            self._of_provider(provider).breaker.failed(now)

    def last_answer_at(self, provider: str) -> float | None:
        """Tells when any model of a provider answered a call last; None: never."""
        return self._answered_at.get(provider)

    def left(self, model: Model, since: float | None = None) -> None:
        """Learns that an attempt ended without saying anything of the model: its caller left."""
        breaker, provider = self._models.get(model.name), self._providers.get(model.provider)
        if breaker is not None:
            breaker.left(since)
        if provider is not None:
            provider.breaker.left(since)

    def set_disabled(self, *, model: str = "", provider: str = "", disabled: bool) -> None:
        """Opens or closes a breaker by hand."""
        breaker = self._of_model(model) if model else self._of_provider(provider).breaker
        breaker.disable(disabled=disabled)
        if provider and not disabled:
            self._forget(provider)

    def is_disabled(self, provider: str) -> bool:
        """Tells whether an operator has disabled a provider."""
        known = self._providers.get(provider)
        return known is not None and known.breaker.state(0.0) is BreakerState.DISABLED

    def reset(self, *, model: str = "", provider: str = "") -> None:
        """Closes a breaker and forgets its failures; one that is disabled stays so."""
        if model:
            self._of_model(model).reset()
        else:
            self._of_provider(provider).breaker.reset()
            self._forget(provider)

    def follow(self, rules: BreakerRules, *, enabled: bool) -> None:
        """Takes other rules; switched off, everything closes but what operators have disabled."""
        if rules == self._rules and enabled is self._enabled:
            return
        self._rules, self._enabled = rules, enabled
        for breaker in (*self._models.values(), *(p.breaker for p in self._providers.values())):
            breaker.follow(rules)
            if not enabled:
                breaker.reset()

    def resting(self, now: float) -> Mapping[str, Resting]:
        """Tells which models, and which providers (as `provider/`), get no calls now."""
        found = {}
        for name, breaker in self._models.items():
            told = _rest(breaker, now, "it")
            if told is not None:
                found[name] = told
        for name, provider in self._providers.items():
            told = _rest(provider.breaker, now, f"provider {name}")
            if told is not None:
                found[f"{name}/"] = told
        return found

    def over(self, snapshot: LiveSnapshot, now: float) -> LiveSnapshot:
        """Adds to a snapshot of figures what rests."""
        if not self._models and not self._providers:
            return snapshot
        resting = self.resting(now)
        if not resting:
            return snapshot
        told_of = (snapshot.version, *sorted((name, rest.detail) for name, rest in resting.items()))
        if told_of != self._told_of:
            self._told_of, self._told_version = told_of, snapshot.with_resting(resting).version
        # For how long they rest yet changes all the time, and the version does not count it.
        return LiveSnapshot(snapshot.figures, self._told_version, resting)

    def state_of(self, model: str, provider: str, now: float) -> BreakerState:
        """Tells whether calls of a model pass both its own breaker and its provider's; without a model, the latter."""
        own, above = self._models.get(model), self._providers.get(provider)
        states = [] if own is None else [own.state(now)]
        if above is not None:
            states.append(above.breaker.state(now))
        return max(states, key=_STRICTNESS.index, default=BreakerState.CLOSED)

    def of_models(self, names: Iterable[str], now: float) -> list[TargetHealth]:
        """Tells how models do, those that never failed too."""
        return [_health(name, self._models.get(name), now) for name in names]

    def of_providers(self, names: Iterable[str], now: float) -> list[TargetHealth]:
        """Tells how providers do."""
        return [_health(name, p.breaker if (p := self._providers.get(name)) else None, now) for name in names]

    @property
    def revision(self) -> int:
        """Counts the changes of all breakers."""
        return sum(b.changes for b in self._models.values()) + sum(p.breaker.changes for p in self._providers.values())

    def _forget(self, provider: str) -> None:
        known = self._of_provider(provider)
        known.failing.clear()
        known.answered_badly = False

    def _of_model(self, name: str) -> Breaker:
        breaker = self._models.get(name)
        if breaker is None:
            breaker = self._models[name] = Breaker(self._rules)
        return breaker

    def _of_provider(self, name: str) -> _Provider:
        provider = self._providers.get(name)
        if provider is None:
            provider = self._providers[name] = _Provider(Breaker(self._rules))
        return provider


def _rest(breaker: Breaker, now: float, who: str) -> Resting | None:
    state = breaker.state(now)
    if state is BreakerState.DISABLED:
        return Resting(f"an operator has disabled {who}", 0.0)
    if state is BreakerState.OPEN:
        return Resting(f"{who} failed too often or asked for a rest", breaker.retry_at() - now)
    return None


def _health(name: str, breaker: Breaker | None, now: float) -> TargetHealth:
    if breaker is None:
        return TargetHealth(name, BreakerState.CLOSED, 0, 0.0)
    return TargetHealth(name, breaker.state(now), breaker.consecutive_failures, breaker.retry_at())
