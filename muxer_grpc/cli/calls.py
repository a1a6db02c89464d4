"""Commands that call a running service: route, complete, models, providers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muxer_grpc.cli.rendering import (
    enum_word,
    input_tokens,
    print_decision,
    print_json,
    print_table,
    usd,
    usd_per_million,
)
from muxer_grpc.cli.steering import (
    DecisionId,
    FallBack,
    MaxCost,
    MaxLatency,
    Model,
    ModelWeights,
    Provider,
    QualityTarget,
    Region,
    Strategy,
    Weights,
    steering,
)

if TYPE_CHECKING:
    from muxer.v1 import completion_pb2
    from muxer_client import Completion, MuxerClient

Target = Annotated[str, typer.Option(envvar="MUXER_TARGET", help="Address of the data listener.")]
AdminTarget = Annotated[str, typer.Option(envvar="MUXER_ADMIN_TARGET", help="Address of the admin listener.")]
AsJson = Annotated[bool, typer.Option("--json", help="Prints JSON.")]
Seconds = Annotated[float, typer.Option("--timeout", help="Deadline in seconds.")]
PromptArgument = Annotated[str, typer.Argument(help="The prompt; - or nothing reads it from stdin.")]
System = Annotated[str | None, typer.Option(help="Instructions for the model.")]
MaxOutputTokens = Annotated[int | None, typer.Option(help="Bound on the answer, in tokens.")]
Label = Annotated[list[str] | None, typer.Option(help="Label for accounts, as key=value; may be repeated.")]

API_KEY_VARIABLE = "MUXER_API_KEY"
DATA = "127.0.0.1:50051"
ADMIN = "127.0.0.1:50052"


def client_of(target: str, admin_target: str = ADMIN, timeout: float = 60.0) -> MuxerClient:
    """Makes a client, with the key of the environment."""
    from muxer_client import MuxerClient

    # From the environment alone: what stands on a command line, every user of the machine can read.
    api_key = os.environ.get(API_KEY_VARIABLE) or None
    return MuxerClient(target, admin_target=admin_target, timeout=timeout, api_key=api_key)


def _prompt(prompt: str) -> str:
    return sys.stdin.read() if prompt == "-" else prompt


def _options(**given: Any) -> Any:
    """Keeps the options that were given."""
    return {name: value for name, value in given.items() if value is not None}


def _labels(pairs: list[str] | None) -> dict[str, str] | None:
    if not pairs:
        return None
    labels = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            msg = f"--label {pair!r} is not key=value"
            raise ValueError(msg)
        labels[key] = value
    return labels


def route(
    prompt: PromptArgument = "-",
    system: System = None,
    max_output_tokens: MaxOutputTokens = None,
    model: Model = None,
    fall_back: FallBack = False,
    strategy: Strategy = None,
    quality_target: QualityTarget = None,
    weights: Weights = None,
    model_weights: ModelWeights = None,
    max_latency: MaxLatency = None,
    max_cost: MaxCost = None,
    provider: Provider = None,
    region: Region = None,
    target: Target = DATA,
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows which model would answer, and why, without calling it."""
    steered = steering(
        model=model,
        fall_back=fall_back,
        strategy=strategy,
        quality_target=quality_target,
        weights=weights,
        model_weights=model_weights,
        max_latency=max_latency,
        max_cost=max_cost,
        provider=provider,
        region=region,
    )
    options = _options(system=system, max_output_tokens=max_output_tokens, **steered)
    with client_of(target, timeout=timeout) as client:
        decision = client.route(_prompt(prompt), **options)
    if as_json:
        print_json(decision)
        return
    print_decision(decision)


def complete(
    prompt: PromptArgument = "-",
    system: System = None,
    max_output_tokens: MaxOutputTokens = None,
    temperature: Annotated[float | None, typer.Option(help="Randomness, 0 to 2.")] = None,
    json_schema: Annotated[Path | None, typer.Option(help="File with a JSON schema for the answer.")] = None,
    decision_id: DecisionId = None,
    model: Model = None,
    fall_back: FallBack = False,
    strategy: Strategy = None,
    quality_target: QualityTarget = None,
    weights: Weights = None,
    model_weights: ModelWeights = None,
    max_latency: MaxLatency = None,
    max_cost: MaxCost = None,
    provider: Provider = None,
    region: Region = None,
    label: Label = None,
    cache: Annotated[str | None, typer.Option(help="Use of kept answers: default, off or refresh.")] = None,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Waits for the whole answer.")] = False,
    target: Target = DATA,
    timeout: Seconds = 300.0,
    as_json: AsJson = False,
) -> None:
    """Answers a prompt: the text on stdout as it comes, one line of account on stderr."""
    steered = steering(
        model=model,
        fall_back=fall_back,
        strategy=strategy,
        quality_target=quality_target,
        weights=weights,
        model_weights=model_weights,
        max_latency=max_latency,
        max_cost=max_cost,
        provider=provider,
        region=region,
    )
    options = _options(
        system=system,
        max_output_tokens=max_output_tokens,
        temperature=temperature,
        json_schema=json_schema.read_text(encoding="utf-8") if json_schema else None,
        labels=_labels(label),
        decision=decision_id,
        cache=cache,
        **steered,
    )
    with client_of(target, timeout=timeout) as client:
        if as_json:
            _print_reply(client.complete(_prompt(prompt), **options))
        else:
            _print_answer(client, _prompt(prompt), options, stream=not no_stream)


def _print_reply(answer: Completion) -> None:
    from muxer.v1 import muxer_service_pb2

    print_json(
        muxer_service_pb2.CompleteResponse(decision=answer.decision, message=answer.message, summary=answer.summary)
    )


def _print_answer(client: MuxerClient, prompt: str, options: dict[str, Any], *, stream: bool) -> None:
    """Prints the text, as it comes where it comes as a stream; then tool calls and the account."""
    if stream:
        with client.stream(prompt, **options) as pieces:
            for piece in pieces.text():
                sys.stdout.write(piece)
                sys.stdout.flush()
            answer = pieces.completion()
    else:
        answer = client.complete(prompt, **options)
        sys.stdout.write(answer.text or answer.refusal)
    for call in answer.tool_calls:
        sys.stdout.write(f"\n{call.name}({call.arguments_json})")
    sys.stdout.write("\n")
    sys.stderr.write(_account(answer.summary))


def _account(summary: completion_pb2.CompletionSummary) -> str:
    usage = summary.usage
    inputs = input_tokens(usage)
    outputs = usage.output_tokens + usage.reasoning_tokens
    seconds = summary.duration.ToTimedelta().total_seconds()
    simulated = ", simulated" if summary.simulated else ""
    kept = f", kept from before: {usd(summary.saved_nano_usd)} saved" if summary.cache_hit else ""
    line = (
        f"{summary.selected_model}: {enum_word(summary, 'outcome')}, {inputs} + {outputs} tokens, "
        f"{usd(summary.cost.total_nano_usd)}, {seconds:.2f} s{simulated}{kept}"
    )
    return f"\x1b[2m{line}\x1b[0m\n" if sys.stderr.isatty() else f"{line}\n"


def models(
    provider: Annotated[str, typer.Option(help="Only models of this provider.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also models of providers without a key.")] = False,
    admin_target: AdminTarget = ADMIN,
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Lists the models that a running service can call."""
    with client_of(DATA, admin_target, timeout) as client:
        found = [m for m in client.models(provider) if m.available or everything]
    if as_json:
        from google.protobuf import json_format

        print_json([json_format.MessageToDict(m, preserving_proto_field_name=True) for m in found])
        return
    rows = []
    for each in found:
        price = "free" if each.free else "unknown"
        if each.HasField("price") and not each.free:
            prices = (each.price.input_pico_usd_per_token, each.price.output_pico_usd_per_token)
            price = " / ".join(usd_per_million(p) for p in prices)
        rows.append(
            [
                each.name,
                enum_word(each, "tier"),
                f"{each.context_window_tokens:,}",
                price,
                "yes" if each.available else "no key",
                _state(each),
            ]
        )
    print_table("", ["model", "tier", ">window", ">USD per million in / out", "available", ""], rows)


def _state(model: Any) -> str:
    """Says what keeps a model from being chosen like any other, or sets it apart."""
    states = {"disabled": model.disabled, "simulated": model.simulated, "retired": model.retired}
    return ", ".join(state for state, holds in states.items() if holds)


def providers(admin_target: AdminTarget = ADMIN, timeout: Seconds = 10.0, as_json: AsJson = False) -> None:
    """Lists the providers of a running service, and what each lacks."""
    with client_of(DATA, admin_target, timeout) as client:
        found = client.providers()
    if as_json:
        from google.protobuf import json_format

        print_json([json_format.MessageToDict(p, preserving_proto_field_name=True) for p in found])
        return
    rows = [[p.name, "yes" if p.configured else "no", str(p.model_count), p.detail] for p in found]
    print_table("", ["provider", "configured", ">models", "detail"], rows)
