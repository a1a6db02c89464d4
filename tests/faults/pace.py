"""How fast a fault is played: at the full timings, or shortened so that a build can wait for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Times in seconds, of what providers do, of the service's settings, and of what is still good enough."""

    name: str
    # What providers do.
    retry_after: float
    slow_first_token: float
    stall: float
    trickle: float
    # Between two pieces of a slow answer: of all sixty it is longer than any timer, of one much shorter.
    steady: float
    outage: float
    # How calls follow each other during an outage.
    calls: int
    interval: float
    # The settings of the service.
    first_token: float
    gap: float
    connect: float
    open: float
    most_open: float
    # What is good enough.
    left_slow_token: float
    left_stall: float
    silence: float
    endless_end: float
    back: float
    usual: float

    @property
    def rules(self) -> dict[str, object]:
        """Gives the settings of resilience; what they leave out is as it ships."""
        return {
            "first_token_seconds": self.first_token,
            "gap_seconds": self.gap,
            # Faults share a process, and no fault may spend the retries of another.
            "retry_share": 1.0,
            "breaker": {"open_seconds": self.open, "most_open_seconds": self.most_open},
        }


# The timers and breakers are those that ship.
FULL = Pace(
    name="full",
    retry_after=2.0,
    slow_first_token=20.0,
    stall=30.0,
    trickle=1.0,
    steady=0.3,
    outage=60.0,
    calls=20,
    interval=4.0,
    first_token=12.0,
    gap=15.0,
    connect=5.0,
    open=5.0,
    most_open=20.0,
    left_slow_token=15.0,
    left_stall=45.0,
    silence=100.0,
    endless_end=8.0,
    back=30.0,
    usual=60.0,
)

# What is good enough leaves room for a machine that has much else to do.
SHORT = Pace(
    name="short",
    retry_after=0.4,
    slow_first_token=30.0,
    stall=30.0,
    trickle=0.02,
    steady=0.04,
    outage=1.6,
    calls=20,
    interval=0.16,
    first_token=1.5,
    gap=1.5,
    connect=2.0,
    open=0.2,
    most_open=0.8,
    left_slow_token=20.0,
    left_stall=20.0,
    silence=20.0,
    endless_end=20.0,
    back=20.0,
    usual=20.0,
)
