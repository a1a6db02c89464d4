"""`muxer explain`: why a decision came out as it did, and what would have changed it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from muxer_grpc.cli import spans
from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls
from muxer_grpc.cli.rendering import enum_word, print_json, print_table, usd
from muxer_grpc.cli.times import time_text

COMPLETION = "cmp_"
# Models that are excluded for one and the same reason, by name.
MOST_NAMED = 5


def explain(
    decision: Annotated[str, typer.Argument(help="Id of a decision (dec_...) or of its completion (cmp_...).")],
    tenant: spans.Tenant = "",
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 30.0,
    as_json: AsJson = False,
) -> None:
    """Shows why a decision came out as it did, and what would have changed it."""
    from muxer.v1 import decision_service_pb2 as pb
    from muxer.v1 import decision_service_pb2_grpc

    request = pb.ExplainDecisionRequest(tenant_id=tenant)
    if decision.startswith(COMPLETION):
        request.completion_id = decision
    else:
        request.decision_id = decision
    with admin_calls(decision_service_pb2_grpc.DecisionServiceStub, admin_target, api_key, timeout) as call:
        found = call("ExplainDecision", request)
    if as_json:
        print_json(found)
        return
    _print_head(found.decision)
    _print_classification(found.decision.decision.classification)
    _print_candidates(found)
    _print_exclusions(found.exclusions)
    _print_alternatives(found)
    _print_versions(found)


def _print_head(record: Any) -> None:
    decision = record.decision
    answered = f"completion {record.completion_id}" if record.completion_id else "a dry run"
    asked = f", {decision.requested_model} asked for" if decision.requested_model else ""
    sys.stdout.write(
        f"{decision.selected_model}\n{decision.explanation}\n\n"
        f"{record.decision_id} of {time_text(record.create_time)} for {record.tenant_id}/{record.user_id}, {answered}\n"
        f"strategy {decision.strategy}{asked}, fallbacks {', '.join(decision.fallback_models) or 'none'}\n"
        f"{_rules(decision.basis)}\n"
    )


def _rules(basis: Any) -> str:
    """Writes the rules that held."""
    policy = basis.policy
    lists = ("allowed_models", "denied_models", "allowed_providers", "denied_providers", "allowed_regions")
    found = [f"{name} {', '.join(getattr(policy, name))}" for name in lists if getattr(policy, name)]
    if policy.HasField("max_cost_nano_usd"):
        found.append(f"at most {usd(policy.max_cost_nano_usd)}")
    if policy.HasField("max_latency"):
        found.append(f"at most {policy.max_latency.ToTimedelta().total_seconds():g} s")
    if policy.HasField("quality_target"):
        found.append(f"quality target {policy.quality_target:.2f}")
    if basis.max_output_tokens:
        found.append(f"max_output_tokens {basis.max_output_tokens:,}")
    return f"rules: {'; '.join(found)}\n" if found else ""


def _print_classification(told: Any) -> None:
    others = ", ".join(f"{enum_word(each, 'intent')} {each.score:.2f}" for each in told.runners_up)
    needs = ", ".join(f"{enum_word(each, 'capability')} {each.score:.2f}" for each in told.capabilities)
    signals = ", ".join(f"{each.name} {each.value:g}" for each in told.signals)
    sys.stdout.write(
        f"intent {enum_word(told, 'intent')} {told.confidence:.2f}{'' if told.settled else ', not settled'}"
        f"{f'; next {others}' if others else ''}\n"
        f"difficulty {told.difficulty:.2f}, of complexity {told.complexity:.2f} and gain {told.gain:.2f}\n"
        f"needs {needs or 'nothing'}\n"
        f"signals {signals or 'none'} ({told.classifier_version})\n\n"
    )


def _print_candidates(found: Any) -> None:
    """Prints candidates, best first: each factor as its value times its weight."""
    names = list(dict.fromkeys(factor.name for each in found.candidates for factor in each.factors))
    by_model = {each.model: each for each in found.decision.decision.candidates}
    rows = []
    for each in found.candidates:
        parts = {f.name: f"{f.value:.3f} x {f.weight:.3f} = {f.contribution:.3f}" for f in each.factors}
        expected = by_model[each.model]
        rows.append(
            [
                str(each.rank),
                each.model,
                f"{each.score:.3f}",
                f"{each.behind:.3f}",
                *(parts.get(name, "") for name in names),
                usd(expected.estimated_cost_nano_usd),
                f"{expected.expected_quality:.2f}",
                str(each.fallback_rank or ""),
            ]
        )
    columns = [
        ">#",
        "candidate",
        ">score",
        ">behind",
        *(f">{name}" for name in names),
        ">cost",
        ">quality",
        ">fallback",
    ]
    print_table("", columns, rows)


def _print_exclusions(exclusions: Any) -> None:
    """Prints exclusions, those for one and the same reason together."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for each in exclusions:
        place = f"place {each.rank_if_admitted}" if each.rank_if_admitted else ""
        told = (enum_word(each.exclusion, "reason"), each.exclusion.detail, each.remedy or "not known", place)
        alike.setdefault(told, []).append(each.exclusion.model)
    if alike:
        sys.stdout.write("\n")
        rows = [[_several(models), *told] for told, models in alike.items()]
        print_table("", ["excluded", "reason", "detail", "it would take", "and be"], rows)


def _several(models: list[str]) -> str:
    more = len(models) - MOST_NAMED
    return "\n".join([*models[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _print_alternatives(found: Any) -> None:
    changing = [each for each in found.alternatives if each.changes_choice]
    if changing:
        sys.stdout.write("\n")
        rows = [
            [
                _changed(each),
                each.selected_model or "none could answer",
                usd(each.estimated_cost_nano_usd) if each.selected_model else "",
                f"{each.expected_quality:.2f}" if each.selected_model else "",
            ]
            for each in changing
        ]
        print_table("", ["what would change it", "to", ">cost", ">quality"], rows)
    same = [_changed(each) for each in found.alternatives if not each.changes_choice]
    if same:
        sys.stdout.write(f"\nno difference: {'; '.join(same)}\n")


def _changed(each: Any) -> str:
    """Names what is changed."""
    kind = enum_word(each, "kind")
    before = f"{each.value_before:.2f}" if each.HasField("value_before") else "none"
    after = f"{each.value_after:.2f}"
    texts = {
        "unavailable": f"{each.subject} not to be had",
        "automatic": "no model asked for by name",
        "strategy": f"strategy {each.subject}",
        "admitted": f"{each.subject} let in",
        "quality_target": f"quality target {before} -> {after}",
        "weight": f"weight of {each.subject} {before} -> {after}",
        "intent": f"intent {each.subject}",
        "complexity": f"complexity {before} -> {after}",
    }
    return texts.get(kind, f"{kind} {each.subject}")


def _print_versions(found: Any) -> None:
    decision = found.decision.decision
    sys.stdout.write(
        f"\npolicy {decision.policy_version}, prices {decision.price_book_version}, fleet {decision.fleet_version}\n"
    )
    if not found.present_model:
        sys.stdout.write("what it was made from is not kept, or no model is left for it: it cannot be made again\n")
        return
    if found.models_changed:
        sys.stdout.write("models have changed since; what would change it was found with those of today\n")
    if found.prices_changed:
        sys.stdout.write("the prices of that time are not kept; those of today stand in\n")
    if not found.reproduced:
        sys.stdout.write(f"with nothing changed, {found.present_model} would be chosen today\n")
