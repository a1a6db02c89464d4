"""UsageService: what was spent, by whatever it is asked."""

from __future__ import annotations

from typing import Any

import grpc
from muxer.v1 import usage_service_pb2 as pb

from muxer_grpc.domain.administration import PageRequest, is_time_zone
from muxer_grpc.domain.buckets import Buckets
from muxer_grpc.domain.ledger import EntryOutcome
from muxer_grpc.domain.reporting import UsageDimension, UsageQuery, UsageReports, UsageRow, UsageSums
from muxer_grpc.domain.tenancy import Principal
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import time_message
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.enums import ENTRY_OUTCOMES, TIME_BUCKET_OF, USAGE_DIMENSION_OF
from muxer_grpc.rpc.ledger_fields import check_label_key, intent_number, read_filter
from muxer_grpc.rpc.listings import check_numbers, named, read_spelled, spelled
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.replies import usage_message
from muxer_grpc.rpc.violations import Violations, quote

SERVICE = "muxer.v1.UsageService"
MAX_LABELS = 4
_PLAIN = (
    (UsageDimension.TENANT, "tenant_id"),
    (UsageDimension.USER, "user_id"),
    (UsageDimension.KEY, "key_id"),
    (UsageDimension.MODEL, "model"),
    (UsageDimension.PROVIDER, "provider"),
    (UsageDimension.STRATEGY, "strategy"),
)


class UsageServicer:
    """Serves the admin listener."""

    def __init__(self, reports: UsageReports) -> None:
        self._reports = reports

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {"QueryUsage": calls.unary(pb.QueryUsageRequest, self.query_usage)}

    async def query_usage(self, request: pb.QueryUsageRequest, limit: TimeLimit) -> pb.QueryUsageResponse:
        """Sums entries by whatever is asked."""
        violations = Violations()
        query = read_query(request, limit.principal, violations)
        timed = query.buckets is not None
        keys = len(query.dimensions) + len(query.label_keys) + timed
        paging = Paging(request.page_size, request.page_token, named("usage", query), violations, keys=keys)
        check_numbers(paging, 1 if timed else 0, violations)
        after = (*paging.after[:timed], *read_spelled(paging.after[timed:], violations))
        violations.raise_if_any()
        asked = PageRequest(paging.length + 1, after)
        found = await limit.wait(lambda: self._reports.page(query, asked))
        total = None if request.page_token else await limit.wait(lambda: self._reports.total(query))
        page, following = paging.cut(found, lambda row: (*row.key[:timed], *spelled(row.key[timed:])))
        return pb.QueryUsageResponse(
            groups=[_group(row, query) for row in page],
            next_page_token=following,
            total=None if total is None else _sums(total),
        )


def read_query(request: pb.QueryUsageRequest, principal: Principal, violations: Violations) -> UsageQuery:
    """Reads what is asked. Raises PermissionDenied."""
    wanted = read_filter(request.filter, principal, "filter.", violations)
    dimensions = []
    for index, number in enumerate(request.group_by):
        dimension = USAGE_DIMENSION_OF.get(number)
        path = f"group_by[{index}]"
        violations.check(dimension is not None, path, "unknown", f"{number} is not a dimension")
        violations.check(dimension not in dimensions, path, "duplicate", "name each dimension once")
        if dimension is not None:
            dimensions.append(dimension)
    label_keys = tuple(request.group_by_labels)
    path = "group_by_labels"
    violations.check(len(label_keys) <= MAX_LABELS, path, "too_many", f"give at most {MAX_LABELS} keys of labels")
    violations.check(len(set(label_keys)) == len(label_keys), path, "duplicate", "name each key once")
    for index, key in enumerate(label_keys[:MAX_LABELS]):
        check_label_key(key, f"{path}[{index}]", violations)
    return UsageQuery(wanted, tuple(dimensions), label_keys, _read_buckets(request, violations))


def _read_buckets(request: pb.QueryUsageRequest, violations: Violations) -> Buckets | None:
    zone = request.time_zone or "UTC"
    known = is_time_zone(zone)
    violations.check(known, "time_zone", "unknown", f"{quote(zone)} is not in the IANA database")
    if not request.bucket:
        violations.check(not request.time_zone, "time_zone", "unused", "name a bucket too, or no time zone")
        return None
    size = TIME_BUCKET_OF.get(request.bucket)
    violations.check(size is not None, "bucket", "unknown", f"{request.bucket} is not a bucket")
    return Buckets(size, zone) if size is not None and known else None


def _group(row: UsageRow, query: UsageQuery) -> pb.UsageGroup:
    values = row.values
    group = pb.UsageGroup(sums=_sums(row.sums), labels=dict(row.labels))
    for dimension, name in _PLAIN:
        setattr(group, name, values.get(dimension, ""))
    group.intent = intent_number(values.get(UsageDimension.INTENT, ""))  # type: ignore[assignment]
    outcome = values.get(UsageDimension.OUTCOME)
    if outcome is not None:
        group.outcome = ENTRY_OUTCOMES[EntryOutcome(outcome)]  # type: ignore[assignment]
    if query.buckets is not None and row.bucket is not None:
        start, end = query.buckets.bounds(row.bucket)
        group.start_time.CopyFrom(time_message(start))
        group.end_time.CopyFrom(time_message(end))
    return group


def _sums(sums: UsageSums) -> pb.UsageSums:
    return pb.UsageSums(
        cost_nano_usd=sums.cost_nano_usd,
        reserved_nano_usd=sums.reserved_nano_usd,
        usage=usage_message(sums.usage),
        completions=sums.completions,
        attempts=sums.attempts,
        failures=sums.failures,
    )
