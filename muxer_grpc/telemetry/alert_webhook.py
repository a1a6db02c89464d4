"""Alerts to an operator's webhook: signed, retried in the background, and never in the way of a completion.

A request is a POST of JSON. `muxer-signature` holds `t=<seconds since the epoch>,v1=<hex>`: the HMAC-SHA-256 (RFC 2104)
of `<t>.<body>` with the operator's secret. `muxer-alert-id` is the same in every attempt, so that a receiver can tell
repeats.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from muxer_grpc.domain.budgeting import ALWAYS, BudgetAlert
from muxer_grpc.domain.refusals import time_text

_log = logging.getLogger(__name__)

SIGNATURE = "muxer-signature"
ALERT_ID = "muxer-alert-id"
MAX_QUEUED = 1_000
# Seconds between the attempts: as many retries as there are numbers.
PAUSES = (1.0, 2.0, 5.0, 15.0)
# Of these a later attempt may be taken: too early, too many, and whatever the server blames on itself.
_RETRIED = frozenset({408, 425, 429})
CLOSING_SECONDS = 2.0


class AlertWebhook:
    """Sends alerts to one URL, one after the other. Build it inside the running loop. Times are in seconds."""

    def __init__(
        self,
        url: str,
        secret: bytes,
        timeout_seconds: float,
        now: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = url
        self._shown = urlsplit(url).hostname
        self._secret = secret
        self._now = now
        self._pause = pause
        self._timeout_seconds = timeout_seconds
        self._queue: asyncio.Queue[BudgetAlert] = asyncio.Queue(MAX_QUEUED)
        # Only the operator's URL is called: no redirect, no proxy of the environment. Plain http has no certificate.
        verify: ssl.SSLContext | bool = ssl.create_default_context() if url.startswith("https:") else False
        self._client = httpx.AsyncClient(
            verify=verify, trust_env=False, follow_redirects=False, timeout=timeout_seconds
        )
        # It tells of every URL that it calls, and this one may be a secret.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._task = asyncio.create_task(self._run())

    def send(self, alert: BudgetAlert) -> None:
        """Queues an alert; one too many is left out, and the log says so."""
        try:
            self._queue.put_nowait(alert)
        except asyncio.QueueFull:
            _log.warning("too many alerts wait for the webhook at %s: one is left out", self._shown)

    async def aclose(self) -> None:
        """Gives what is queued a moment to be sent, and stops."""
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._queue.join()
        except TimeoutError:
            _log.warning("alerts were not sent to the webhook at %s: the process ends", self._shown)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._client.aclose()

    async def _run(self) -> None:
        while True:
            alert = await self._queue.get()
            try:
                await self._deliver(alert)
            except Exception:
                _log.exception("sending an alert broke")
            finally:
                self._queue.task_done()

    async def _deliver(self, alert: BudgetAlert) -> None:
        problem = ""
        for pause in (*PAUSES, None):
            problem, again = await self._attempt(alert)
            if not problem:
                return
            if not again or pause is None:
                break
            await self._pause(pause)
        _log.error("an alert could not be sent to the webhook at %s: %s", self._shown, problem)

    async def _attempt(self, alert: BudgetAlert) -> tuple[str, bool]:
        """Sends an alert once; gives what is wrong, if anything, and whether a later attempt may be taken."""
        body = json.dumps(described(alert), separators=(",", ":")).encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "muxer",
            ALERT_ID: alert_id(alert),
            **self._signature(body),
        }
        try:
            # The whole exchange is bounded, however slowly bytes trickle in; what the receiver says is not read.
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._client.stream("POST", self._url, content=body, headers=headers) as reply,
            ):
                status = reply.status_code
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            return type(error).__name__, True
        if httpx.codes.is_success(status):
            return "", False
        return f"status {status}", status in _RETRIED or httpx.codes.is_server_error(status)

    def _signature(self, body: bytes) -> dict[str, str]:
        if not self._secret:
            return {}
        at = int(self._now())
        told = hmac.new(self._secret, b"%d." % at + body, hashlib.sha256).hexdigest()
        return {SIGNATURE: f"t={at},v1={told}"}


def alert_id(alert: BudgetAlert) -> str:
    """Names an alert: there is one of each share, period and budget."""
    return f"{alert.budget.id}.{alert.period_start_us}.{alert.share}"


def described(alert: BudgetAlert) -> dict[str, Any]:
    """Describes an alert for whoever is told of it."""
    budget = alert.budget
    return {
        "id": alert_id(alert),
        "tenant_id": budget.tenant_id,
        "budget_id": budget.id,
        "user_id": budget.user_id,
        "key_id": budget.key_id,
        "period": budget.period.value,
        "period_start_time": None if alert.period_start_us == ALWAYS else time_text(alert.period_start_us),
        "share": alert.share,
        "spent_nano_usd": alert.spent_nano_usd,
        "limit_nano_usd": budget.limit_nano_usd,
        "create_time": time_text(alert.at_us),
    }
