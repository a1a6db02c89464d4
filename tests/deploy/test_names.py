"""What dashboards and rules name exists: metrics, their labels, values of labels, and columns of the ledger."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any
from urllib.parse import parse_qs

import pytest

from muxer_grpc.domain.completion import Outcome
from muxer_grpc.domain.errors import FailureClass, Reason
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.telemetry import names
from muxer_grpc.telemetry.exposition import prometheus_name
from tests.deploy.prometheus import (
    DASHBOARDS,
    RULES_TEST,
    RUNBOOK,
    Query,
    dashboards,
    panels,
    prometheus_queries,
    rules,
)
from tests.deploy.promql import asked_by

# What Prometheus adds to each series; `ALERTS` and `up` are its own.
OF_TARGETS = {"job", "instance"}
OF_PROMETHEUS = {"up": OF_TARGETS, "ALERTS": {*OF_TARGETS, "alertname", "alertstate", "severity"}}
# Counted elsewhere than in names.COUNTERS.
GROWING = {*names.COUNTERS, names.CACHE_ANSWERS, names.CACHE_SAVED, names.SHED, names.ALERTS, names.SPANS}
VALUES = {
    "muxer_reason": {each.value for each in Reason},
    "error_type": {each.value for each in Reason},
    "muxer_outcome": {each.value for each in Outcome},
    "muxer_state": {each.value for each in BreakerState},
    "muxer_failure_class": {each.value for each in FailureClass},
    "muxer_scope": {"provider", "model"},
    "muxer_cache_result": {"hit", "shared", "miss"},
    "muxer_kind": {"sent", "failed", "dropped", "unary", "stream"},
    "gen_ai_token_type": {"input", "cached_input", "cache_write", "output", "reasoning"},
}


def series() -> Iterator[tuple[str, set[str]]]:
    """Walks what Prometheus gets from a service: names of series, and their labels."""
    for metric in (*names.HISTOGRAMS, *names.COUNTERS, *names.OBSERVED):
        name, labels = prometheus_name(metric), {each.replace(".", "_") for each in metric.attributes} | OF_TARGETS
        if metric in names.HISTOGRAMS:
            yield from ((f"{name}_bucket", {*labels, "le"}), (f"{name}_count", labels), (f"{name}_sum", labels))
        else:
            yield f"{name}_total" if metric in GROWING else name, labels


def known() -> dict[str, set[str]]:
    """Lists all that may be named, with its labels: series of services, of Prometheus, and of recording rules."""
    recorded = {rule.record: asked_by(rule.expr).groups - {"le"} for rule in rules() if rule.record}
    return {**dict(series()), **OF_PROMETHEUS, **recorded}


KNOWN = known()
QUERIES = [*prometheus_queries(), *(Query(rule.record or rule.alert, rule.expr) for rule in rules())]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_a_query_names_metrics_and_labels_that_exist(query: Query) -> None:
    asked = asked_by(query.text)
    assert asked.labels
    assert asked.labels.keys() <= KNOWN.keys()
    for metric, labels in asked.labels.items():
        assert labels.keys() <= KNOWN[metric], metric
    any_has = set().union(*(KNOWN[metric] for metric in asked.labels))
    assert asked.groups <= any_has
    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= (asked.groups or any_has)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_a_query_compares_labels_with_values_that_they_may_have(query: Query) -> None:
    for labels in asked_by(query.text).labels.values():
        for label, values in labels.items():
            if label in VALUES:
                assert values <= VALUES[label] | {""}, label


def test_an_expression_is_read_as_prometheus_reads_it() -> None:
    asked = asked_by('sum by (job, le) (rate(a_b{c="d",e!~"f|g"}[5m])) / on (job) h:i:j offset 1h > 1e9 or vector(0)')
    assert asked.labels == {"a_b": {"c": {"d"}, "e": {"f", "g"}}, "h:i:j": {}}
    assert asked.groups == {"job", "le"}


def test_every_metric_but_for_the_newest_names_is_on_some_dashboard() -> None:
    shown = set(chain.from_iterable(asked_by(query.text).labels for query in prometheus_queries()))
    told = {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown}
    of_newest_names = {prometheus_name(metric) for metric in names.LATEST_TOKENS.values()}
    missing = {re.sub(r"_(bucket|count|sum)$", "", name) for name, _ in series()} - told
    assert {name.removesuffix("_total") for name in missing} == of_newest_names


def test_dashboards_can_be_imported_side_by_side() -> None:
    found = list(dashboards())
    assert len({each["uid"] for each in found}) == len(found) == len(DASHBOARDS) == 5
    assert len({each["title"] for each in found}) == len(found)
    for dashboard in found:
        assert dashboard["schemaVersion"] >= 39
        assert dashboard["id"] is None
        ids = [panel["id"] for panel in panels(dashboard)]
        assert len(set(ids)) == len(ids)


def test_panels_do_not_lie_on_each_other() -> None:
    for dashboard in dashboards():
        taken: set[tuple[int, int]] = set()
        for panel in panels(dashboard):
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert max(x for x, _ in cells) < 24
            assert not cells & taken, (dashboard["uid"], panel["title"])
            taken |= cells


def test_every_panel_says_what_it_shows_in_which_unit_and_from_which_source() -> None:
    for dashboard in dashboards():
        sources = {f"${{{each['name']}}}" for each in dashboard["templating"]["list"] if each["type"] == "datasource"}
        for panel in panels(dashboard):
            if panel["type"] == "row":
                continue
            assert panel["title"]
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["datasource"]["uid"] in sources
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {panel["datasource"]["uid"]}


def test_variables_that_are_used_are_there_and_links_lead_to_dashboards_that_are() -> None:
    uids = {dashboard["uid"] for dashboard in dashboards()}
    for dashboard in dashboards():
        text = json.dumps(dashboard)
        declared = {each["name"] for each in dashboard["templating"]["list"]}
        used = {each for each in re.findall(r"\$\{?([a-z]\w*)", text) if not each.startswith("__")}
        assert used == declared, dashboard["uid"]
        assert set(re.findall(r"/d/([\w-]+)", text)) <= uids


def test_links_to_traces_ask_for_attributes_that_spans_have() -> None:
    attributes = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    asked: set[str] = set()
    for dashboard in dashboards():
        links = re.findall(r"/explore\?[^\"]*", json.dumps(dashboard))
        assert links
        for link in links:
            panes = json.loads(parse_qs(link.partition("?")[2])["panes"][0])
            [query] = panes["traces"]["queries"]
            asked |= set(re.findall(r"span\.([\w.]+)", query["query"]))
    assert {"muxer.completion.id", "gen_ai.provider.name"} <= asked <= attributes


def money(panel: dict[str, Any]) -> bool:
    return panel["fieldConfig"]["defaults"]["unit"] == "currencyUSD"


def test_nano_usd_are_shown_as_usd() -> None:
    for dashboard in dashboards():
        for panel in panels(dashboard):
            asked = " ".join(target.get("expr", "") for target in panel.get("targets", ()))
            if re.search(r"muxer_cost_total|_saved_total|ledger_(?:reserved|settled)_total|cost_nano_usd:", asked):
                assert money(panel), panel["title"]
                # A thousand tokens are a factor of a thousand less.
                assert re.search(r"/ 1e9|/ 1e6 / sum\(increase\(muxer_tokens_total", asked), panel["title"]


def test_every_alert_is_tested_to_fire_and_to_be_silent_and_has_its_section_of_the_runbook() -> None:
    alerts = [rule for rule in rules() if rule.alert]
    checks = re.findall(r"alertname: (\w+)\n +exp_alerts:( \[\])?", RULES_TEST.read_text())
    for silent in (True, False):
        assert {name for name, empty in checks if bool(empty) is silent} == {rule.alert for rule in alerts}
    sections = re.findall(
        r"^## (\w+)\n\n\*\*Means\*\*: (?:.+\n)+\*\*Look\*\*: (?:.+\n)+\*\*Do\*\*: ", RUNBOOK.read_text(), re.M
    )
    assert sections == re.findall(r"^## (\w+)", RUNBOOK.read_text(), re.M)
    assert set(sections) == {rule.alert for rule in alerts}
    for rule in alerts:
        assert rule.runbook == f"deploy/prometheus/RUNBOOK.md#{rule.alert.lower()}"
        assert rule.severity in ("critical", "warning")
