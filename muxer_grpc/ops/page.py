"""The status page: one document, made here whole, so that it needs no script to be read. `status.js` keeps it fresh."""

from __future__ import annotations

from collections.abc import Iterable

from muxer_grpc.domain.completion import Outcome
from muxer_grpc.domain.resilience.health_state import HealthState
from muxer_grpc.ops import wording
from muxer_grpc.ops.markup import EMPTY, Column, Markup, element, join, table, text
from muxer_grpc.ops.recent import RecentDecision
from muxer_grpc.ops.status import BudgetStatus, ModelStatus, ProviderStatus, Status, WindowFigures

# Each state has a shape and a word beside its colour.
SIGNS = {
    HealthState.HEALTHY.value: ("●", "good"),
    HealthState.DEGRADED.value: ("▲", "doubtful"),
    HealthState.DOWN.value: ("■", "bad"),
    HealthState.DISABLED.value: ("○", "idle"),
}
OUTCOMES = {
    Outcome.COMPLETE.value: "good",
    Outcome.LENGTH.value: "doubtful",
    Outcome.FILTERED.value: "doubtful",
    Outcome.CANCELLED.value: "idle",
    Outcome.FAILED.value: "bad",
}
KINDS = {"good": "●", "doubtful": "▲", "bad": "■", "idle": "○"}
# From these shares on a budget is told apart.
NEARLY, SPENT = 0.8, 1.0

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='none' "
    "stroke='%233b6ea8' stroke-width='2.5' stroke-linecap='round' d='M2 8h4l5-5h3M6 8l5 5h3'/%3E%3C/svg%3E"
)
HEAD = Markup(
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    f'<title>Muxer</title><link rel="icon" href="{ICON}"><link rel="stylesheet" href="status.css">'
    '<script src="status.js" defer></script></head><body>'
)
TAIL = Markup(
    "<noscript><p>Without JavaScript this page stays as it is: reload it for fresh figures.</p></noscript>"
    "</body></html>\n"
)


def status_page(status: Status) -> str:
    """Writes the page."""
    sections = (
        _section("Now", _tiles(status)),
        _section("Providers", _providers(status)),
        _section("Models called in the last hour", _models(status)),
        _section("Budgets", _budgets(status)),
        _section("Last decisions", _decisions(status.decisions)),
        _section("This process", _process(status)),
    )
    return join((HEAD, _header(status), element("main", *sections), TAIL))


def _header(status: Status) -> Markup:
    process = status.process
    kind, words = _state(status)
    which = f"Worker {process.worker} of {process.workers}, with a page of its own · " if process.workers > 1 else ""
    as_of = element("time", text(f"{wording.clock(status.at)} UTC"), datetime=wording.stamp(status.at))
    return element(
        "header",
        element("h1", text("Muxer "), element("span", text(process.version))),
        # Read out when it changes, and only then: figures change all the time.
        element("p", _sign(KINDS[kind]), text(words), id="state", class_=kind, role="status", aria_live="polite"),
        element("p", text(f"{which}up {wording.span(process.uptime_seconds)} · as of "), as_of, id="as-of"),
    )


def _state(status: Status) -> tuple[str, str]:
    """Sums it all up in a line."""
    if status.process.draining:
        return "doubtful", "Draining: new calls go elsewhere"
    providers = status.providers
    if not providers:
        return "bad", "Serving, but no provider can be called"
    for health, kind in ((HealthState.DOWN, "bad"), (HealthState.DEGRADED, "doubtful")):
        found = [each.name for each in providers if each.health == health.value]
        if found:
            verb = "is" if len(found) == 1 else "are"
            return (
                kind,
                f"Serving · {len(found)} of {len(providers)} providers {verb} {health.value}: {', '.join(found)}",
            )
    disabled = sum(each.health == HealthState.DISABLED.value for each in providers)
    rest = f", {disabled} disabled" if disabled else ""
    return "good", f"Serving · {wording.count(len(providers) - disabled, 'provider')} healthy{rest}"


def _tiles(status: Status) -> Markup:
    recent, hour, load = status.five_minutes, status.hour, status.load
    tiles = (
        (
            "Requests a minute",
            wording.per_minute(recent.requests_per_minute),
            wording.per_minute(hour.requests_per_minute),
        ),
        ("Success", wording.percent(recent.success_rate), wording.percent(hour.success_rate)),
        ("Latency p95", wording.duration(recent.p95_seconds), wording.duration(hour.p95_seconds)),
        ("Cost", wording.usd(recent.cost_nano_usd), wording.usd(hour.cost_nano_usd)),
    )
    queue = wording.NOT_KNOWN if load.ledger_queue is None else f"{load.ledger_queue:,}"
    made = [_tile(name, value, f"5 min; 1 h: {before}") for name, value, before in tiles]
    return element(
        "dl",
        *made,
        _tile("Budget spent most", *_most_spent(status.budgets)),
        _tile("Calls under way", f"{load.calls:,}", f"of them {wording.count(load.streams, 'stream')}"),
        _tile("Calls shed", f"{load.shed_calls + load.shed_streams:,}", "since the start"),
        _tile("Event loop late by", wording.duration(load.event_loop_lag_seconds), "shows how busy it is"),
        _tile("Ledger queue", queue, "changes to be written"),
        _tile("From the cache", *_cache(status)),
        class_="tiles",
    )


def _tile(name: str, value: str, note: str) -> Markup:
    return element(
        "div",
        element("dt", text(name)),
        element("dd", text(value), class_="value"),
        element("dd", text(note), class_="note"),
    )


def _most_spent(budgets: list[BudgetStatus] | None) -> tuple[str, str]:
    if budgets is None:
        return wording.NOT_KNOWN, "the database did not say"
    if not budgets:
        return "0 %", "nothing is spent"
    first = budgets[0]
    return ("all" if first.share is None else wording.percent(first.share)), f"{first.period}, {first.tenant_id}"


def _cache(status: Status) -> tuple[str, str]:
    load = status.load
    if load.cache_hits is None or load.cache_misses is None:
        return "off", "nothing is kept"
    asked = load.cache_hits + load.cache_misses
    return f"{load.cache_hits:,}", f"of {asked:,}; {wording.usd(load.cache_saved_nano_usd or 0)} saved"


def _providers(status: Status) -> Markup:
    columns = (
        Column("Provider"),
        Column("Health"),
        Column("Breaker"),
        Column("Last probe"),
        Column("Success", number=True),
        Column("p95", number=True),
    )
    rows = [
        (
            text(each.name),
            _health(each.health),
            _breaker(each, status.at),
            _probe(each, status.at),
            text(wording.percent(each.success_rate)),
            text(wording.duration(each.p95_seconds)),
        )
        for each in status.providers
    ]
    note = element("p", text("Success and p95 are those of the last 100 requests."), class_="note")
    return join((table("providers", columns, rows, "No provider can be called."), note if rows else EMPTY))


def _breaker(provider: ProviderStatus, now: float) -> Markup:
    words = provider.breaker.replace("_", " ")
    if provider.next_attempt_at is not None:
        words += f", tried again in {wording.span(provider.next_attempt_at - now + 1)}"
    elif provider.consecutive_failures:
        words += f", {wording.count(provider.consecutive_failures, 'failure')} in a row"
    return text(words)


def _probe(provider: ProviderStatus, now: float) -> Markup:
    probe = provider.probe
    if probe is None:
        return text("none yet")
    if probe.failure:
        return element(
            "span", _sign(KINDS["bad"]), text(f"{probe.failure}, {wording.ago(probe.at, now)}"), class_="bad"
        )
    return text(f"answered in {wording.duration(probe.seconds)}, {wording.ago(probe.at, now)}")


def _models(status: Status) -> Markup:
    figures = ("req/min", "success", "p50", "p95", "cost")
    columns = (
        Column("Model"),
        Column("Health"),
        *(Column(f"5 min: {name}", number=True) for name in figures),
        *(Column(f"1 h: {name}", number=True) for name in figures),
    )
    rows = [_model(each) for each in status.models]
    made = table("models", columns, rows, "No model was called in the last hour.")
    if not status.more_models:
        return made
    more = f"The {len(status.models)} busiest; {wording.count(status.more_models, 'other')} were called too."
    return join((made, element("p", text(more), class_="note")))


def _model(model: ModelStatus) -> tuple[Markup, ...]:
    # What is beyond the groups that figures tell apart has no name.
    name = text(model.name) if model.name else element("em", text("others"))
    return (name, _health(model.health), *_figures(model.five_minutes), *_figures(model.hour))


def _figures(figures: WindowFigures) -> Iterable[Markup]:
    return map(
        text,
        (
            wording.per_minute(figures.requests_per_minute),
            wording.percent(figures.success_rate),
            wording.duration(figures.p50_seconds),
            wording.duration(figures.p95_seconds),
            wording.usd(figures.cost_nano_usd),
        ),
    )


def _budgets(status: Status) -> Markup:
    if status.budgets is None:
        return element("p", text("Not known: the database did not say in time."), class_="empty")
    columns = (
        Column("Budget"),
        Column("Spent", number=True),
        Column("Of", number=True),
        Column("Reserved", number=True),
        Column("Share"),
    )
    rows = [
        (
            _budget_name(each),
            text(wording.usd(each.spent_nano_usd)),
            text(wording.usd(each.limit_nano_usd)),
            text(wording.usd(each.reserved_nano_usd)),
            _share(each),
        )
        for each in status.budgets
    ]
    return table("budgets", columns, rows, "Nothing is spent of any budget in its present period.")


def _budget_name(budget: BudgetStatus) -> Markup:
    tenant = f"{budget.tenant_name} ({budget.tenant_id})" if budget.tenant_name else budget.tenant_id
    whose = f", user {budget.user_id}" if budget.user_id else ""
    whose += f", key {budget.key_id}" if budget.key_id else ""
    kind = f"{budget.period}, {'hard' if budget.hard else 'soft'}"
    return join((text(tenant + whose), element("span", text(kind), class_="note")), " ")


def _share(budget: BudgetStatus) -> Markup:
    share = budget.share
    if share is None:
        return element("span", _sign(KINDS["bad"]), text("its limit is $0"), class_="bad")
    kind = "bad" if share >= SPENT else "doubtful" if share >= NEARLY else "good"
    bar = element("rect", class_=f"fill {kind}", width=f"{min(100.0, 100 * share):.1f}%", height="100%")
    track = element("rect", class_="track", width="100%", height="100%")
    told = text(wording.percent(share))
    if kind != "good":
        told = element("span", _sign(KINDS[kind]), told, class_=kind)
    return join((element("svg", track, bar, class_="bar", aria_hidden="true"), told))


def _decisions(decisions: list[RecentDecision]) -> Markup:
    columns = (
        Column("Time, UTC"),
        Column("Outcome"),
        Column("Model"),
        Column("Why"),
        Column("Intent"),
        Column("Strategy"),
        Column("Cost", number=True),
        Column("Latency", number=True),
    )
    rows = [_decision(each) for each in decisions]
    return table("decisions", columns, rows, "This process has completed nothing yet.")


def _decision(each: RecentDecision) -> tuple[Markup, ...]:
    model = text(each.selected_model)
    if each.answered_by and each.answered_by != each.selected_model:
        model = join((model, text(f"answered by {each.answered_by}")), ", ")
    words = f"{each.outcome}: {each.error.replace('_', ' ').lower()}" if each.error else each.outcome
    if each.attempts > 1:
        words += f", {each.attempts} attempts"
    return (
        element("time", text(wording.clock(each.at)), datetime=wording.stamp(each.at)),
        element("span", _sign(KINDS[OUTCOMES[each.outcome]]), text(words), class_=OUTCOMES[each.outcome]),
        model,
        join((text(each.explanation), element("code", text(each.decision_id))), " "),
        text(each.intent),
        text(each.strategy),
        text(wording.usd(each.cost_nano_usd)),
        text(wording.duration(each.seconds)),
    )


def _process(status: Status) -> Markup:
    process = status.process
    told = (
        ("Version", process.version),
        ("Instance", process.instance_id),
        ("Process", str(process.process_id)),
        (
            "Worker",
            f"{process.worker} of {process.workers}" + ("; each tells of itself" if process.workers > 1 else ""),
        ),
        ("Started", wording.stamp(process.started_at)),
        ("Uptime", wording.span(process.uptime_seconds)),
        ("Draining", "yes" if process.draining else "no"),
        ("Strategy", process.default_strategy),
        ("Price book", process.price_book_version),
    )
    pairs = [element("div", element("dt", text(name)), element("dd", text(value))) for name, value in told]
    return element("dl", *pairs, class_="facts")


def _section(heading: str, inside: Markup) -> Markup:
    name = heading.lower().replace(" ", "-")
    return element("section", element("h2", text(heading), id=name), inside, aria_labelledby=name)


def _health(health: str) -> Markup:
    sign, kind = SIGNS[health]
    return element("span", _sign(sign), text(health), class_=kind)


def _sign(shape: str) -> Markup:
    return join((element("span", text(shape), class_="sign", aria_hidden="true"), text(" ")))
