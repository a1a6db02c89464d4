"""A circuit breaker: stops calling what keeps failing, and finds out by single probes when it works again.

The pattern is M. Nygard's (Release It!, 2007, chapter 5). Times are seconds of any steady clock, given by the caller.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from muxer_grpc.domain.enumeration import Named


class BreakerState(Named):
    """Says whether calls pass: all, none, or one at a time as a probe. DISABLED: an operator has opened it."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker opens, and for how long (seconds).

    It opens after `consecutive_failures`, or when of at least `least_calls` in the last `window_seconds` the share
    `failure_share` failed. It stays open for `open_seconds`, doubled with each probe that fails up to
    `most_open_seconds`.
    """

    consecutive_failures: int = 3
    failure_share: float = 0.5
    least_calls: int = 10
    window_seconds: float = 30.0
    open_seconds: float = 5.0
    most_open_seconds: float = 20.0


# Calls remembered for the failure share.
MOST_REMEMBERED = 200


class Breaker:
    """One breaker, of a model or a provider.

    Whoever tells the end of a call tells since when it was let pass (`since`), too: what was let pass before the
    breaker opened is no probe. Without it, the call was let pass when it ended.
    """

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self._recent: deque[tuple[float, bool]] = deque(maxlen=MOST_REMEMBERED)
        self._open_until = 0.0
        self._open_seconds = rules.open_seconds
        self._opened = False
        self._opened_at = 0.0
        self._probing = False
        self._disabled = False
        self.consecutive_failures = 0
        self.changes = 0

    def state(self, now: float) -> BreakerState:
        """Tells the state."""
        if self._disabled:
            return BreakerState.DISABLED
        if now < self._open_until:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN if self._opened else BreakerState.CLOSED

    def retry_at(self) -> float:
        """Gives the time from which the next probe may pass."""
        return self._open_until

    def would_admit(self, now: float) -> bool:
        """Tells whether a call may pass, and changes nothing."""
        state = self.state(now)
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and not self._probing)

    def admit(self, now: float) -> bool:
        """Lets a call pass, or not. Half open, the one that passes is the probe: its end must be told."""
        if not self.would_admit(now):
            return False
        self._probing = self._opened
        return True

    def holds(self, since: float) -> bool:
        """Tells whether a call that was let pass, and is not made yet, may be made still."""
        return not (self._disabled or self._is_from_before(since))

    def succeeded(self, now: float, since: float | None = None) -> None:
        """Learns that a call succeeded; a half-open breaker closes.

        A call from before it opened changes nothing: that answers go on which began then does not say that others can
        begin, nor does it shorten what the target may have asked for.
        """
        if self._is_from_before(since):
            return
        self._recent.append((now, True))
        self.consecutive_failures = 0
        if self._opened and now >= self._open_until:
            self._close()

    def failed(self, now: float, since: float | None = None) -> None:
        """Learns that a call failed in a way that speaks against its target."""
        self._recent.append((now, False))
        self.consecutive_failures += 1
        if self._is_from_before(since) or (self._opened and now < self._open_until and not self._probing):
            # A call from before it opened: of many at once, each would open it for longer.
            return
        if self._opened:
            # The probe failed: wait longer.
            self._open_seconds = min(self._rules.most_open_seconds, 2 * self._open_seconds)
            self._open(now, self._open_seconds)
        elif self.consecutive_failures >= self._rules.consecutive_failures or self._fails_too_often(now):
            self._open_seconds = self._rules.open_seconds
            self._open(now, self._open_seconds)

    def left(self, since: float | None = None) -> None:
        """Learns that a call ended without saying anything of its target: its caller left, or was at fault."""
        if not self._is_from_before(since):
            self._probing = False

    def rest(self, now: float, seconds: float) -> None:
        """Lets nothing pass for a time, as the target itself has asked, or as its failure suggests."""
        until = now + seconds
        if until > self._open_until:
            self._open(now, seconds)

    def disable(self, *, disabled: bool) -> None:
        """Opens the breaker by hand until it is closed by hand again; closing forgets all failures."""
        self._disabled = disabled
        self.changes += 1
        if not disabled:
            self._close()

    def reset(self) -> None:
        """Closes the breaker and forgets all failures; one that is disabled stays so."""
        self._close()

    def follow(self, rules: BreakerRules) -> None:
        """Takes other rules; what is open stays so for as long as it was to."""
        self._rules = rules
        self._open_seconds = min(self._open_seconds, rules.most_open_seconds) if self._opened else rules.open_seconds

    def _open(self, now: float, seconds: float) -> None:
        self._opened = True
        self._opened_at = now
        self._probing = False
        self._open_until = now + seconds
        self.changes += 1

    def _close(self) -> None:
        self._opened = False
        self._probing = False
        self._open_until = 0.0
        self._open_seconds = self._rules.open_seconds
        self._recent.clear()
        self.consecutive_failures = 0
        self.changes += 1

    def _is_from_before(self, since: float | None) -> bool:
        return self._opened and since is not None and since < self._opened_at

    def _fails_too_often(self, now: float) -> bool:
        since = now - self._rules.window_seconds
        recent = [succeeded for at, succeeded in self._recent if at >= since]
        failures = len(recent) - sum(recent)
        return len(recent) >= self._rules.least_calls and failures >= self._rules.failure_share * len(recent)
