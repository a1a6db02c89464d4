"""Replays of decisions, read from the wire and written to it."""

from __future__ import annotations

from collections.abc import Sequence

from muxer.v1 import decision_service_pb2 as pb

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.money import Price
from muxer_grpc.domain.replaying import DEFAULT_DECISIONS, MOST_DECISIONS, ReplayPolicy, Report, Sums
from muxer_grpc.domain.routing.ranking import known_strategies
from muxer_grpc.rpc.admin_fields import time_message
from muxer_grpc.rpc.aims import read_quality_target, read_weights
from muxer_grpc.rpc.enums import EXCLUSION_REASONS, INTENTS
from muxer_grpc.rpc.prices import read_price
from muxer_grpc.rpc.violations import Violations, quote

MAX_NAMES = 200
MAX_PRICES = 1_000


def read_limit(request: pb.ReplayDecisionsRequest, violations: Violations) -> int:
    """Reads how many decisions are replayed at most."""
    violations.check(0 <= request.limit <= MOST_DECISIONS, "limit", "range", f"give 0 to {MOST_DECISIONS:,}")
    return request.limit or DEFAULT_DECISIONS


def read_policy(told: pb.ReplayPolicy, catalogue: Catalogue, violations: Violations) -> ReplayPolicy:
    """Reads what is changed in the rules of decisions."""
    known = sorted(known_strategies())
    strategy = told.strategy
    message = f"{quote(strategy)} is not one of {', '.join(known)}"
    violations.check(not strategy or strategy in known, "policy.strategy", "unknown", message)
    return ReplayPolicy(
        strategy=strategy,
        weights=read_weights(told, "policy", violations),
        quality_target=read_quality_target(told, "policy", violations),
        allowed_models=_read_models(told.allowed_models, "policy.allowed_models", catalogue, violations),
        denied_models=_read_models(told.denied_models, "policy.denied_models", catalogue, violations),
    )


def read_given_prices(
    request: pb.ReplayDecisionsRequest, catalogue: Catalogue, violations: Violations
) -> dict[str, Price]:
    """Reads the prices that take the place of those in force, by model."""
    violations.check(len(request.prices) <= MAX_PRICES, "prices", "length", f"give at most {MAX_PRICES:,} prices")
    prices: dict[str, Price] = {}
    for index, given in enumerate(request.prices[:MAX_PRICES]):
        path = f"prices[{index}]"
        price = read_price(given, path, violations)
        model = given.model
        violations.check(model in catalogue.models, f"{path}.model", "unknown", _unknown(model))
        violations.check(model not in prices, f"{path}.model", "duplicate", f"{quote(model)} comes twice")
        if price is not None:
            prices[model] = price
    return prices


def replay_response(
    report: Report, catalogue: Catalogue, earliest_us: int | None, *, truncated: bool
) -> pb.ReplayDecisionsResponse:
    """Writes what a replay came to."""
    shifts = sorted(report.shifts.items(), key=lambda item: (-item[1].decisions, item[0]))
    reasons = report.excluded_before | report.excluded_after
    return pb.ReplayDecisionsResponse(
        total=_sums(report.total),
        intents=[
            pb.IntentReplay(intent=INTENTS[intent], sums=_sums(report.intents[intent]))  # type: ignore[arg-type]
            for intent in INTENTS
            if intent in report.intents
        ],
        shifts=[
            pb.ModelShift(
                model_before=before,
                model_after=after,
                decisions=shift.decisions,
                cost_before_nano_usd=shift.cost_before,
                cost_after_nano_usd=shift.cost_after,
            )
            for (before, after), shift in shifts
        ],
        exclusions=[
            pb.ExclusionShift(
                reason=EXCLUSION_REASONS[reason],  # type: ignore[arg-type]
                before=report.excluded_before[reason],
                after=report.excluded_after[reason],
            )
            for reason in EXCLUSION_REASONS
            if reason in reasons
        ],
        skipped=report.skipped,
        refused=report.refused,
        truncated=truncated,
        earliest_time=None if earliest_us is None else time_message(earliest_us),
        price_book_version=catalogue.price_book_version,
        fleet_version=catalogue.version,
    )


def _sums(sums: Sums) -> pb.ReplaySums:
    count = sums.decisions or 1
    return pb.ReplaySums(
        decisions=sums.decisions,
        changed=sums.changed,
        pinned=sums.pinned,
        measured=sums.measured,
        cost_before_nano_usd=sums.cost_before,
        cost_after_nano_usd=sums.cost_after,
        quality_before=sums.quality_before / count,
        quality_after=sums.quality_after / count,
    )


def _read_models(names: Sequence[str], path: str, catalogue: Catalogue, violations: Violations) -> frozenset[str]:
    violations.check(len(names) <= MAX_NAMES, path, "length", f"give at most {MAX_NAMES} names")
    for index, name in enumerate(names[:MAX_NAMES]):
        violations.check(name in catalogue.models, f"{path}[{index}]", "unknown", _unknown(name))
    return frozenset(names[:MAX_NAMES])


def _unknown(model: str) -> str:
    return f"{quote(model)} is not the full name of a model"
