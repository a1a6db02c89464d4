"""A retry budget: retries may be a share of calls and no more, so that they never make an outage worse.

After Google's SRE book (Handling Overload): each call deposits a share of a retry, each retry withdraws a whole one.
"""

from __future__ import annotations


class RetryBudget:
    """A bucket of retries, filled by calls, never above `most`. A share of 0 allows none, however full it is."""

    def __init__(self, share: float = 0.2, most: float = 20.0) -> None:
        self._share = share
        self._most = most
        self._left = most

    def follow(self, share: float) -> None:
        """Takes another share; what is left stays."""
        self._share = share

    def called(self) -> None:
        """Deposits what one call adds."""
        self._left = min(self._most, self._left + self._share)

    @property
    def allows(self) -> bool:
        """Tells whether a retry is left."""
        return self._share > 0 and self._left >= 1

    def take(self) -> None:
        """Withdraws a retry."""
        self._left = max(0.0, self._left - 1)
