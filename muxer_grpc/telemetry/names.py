"""The one table of names under which telemetry speaks.

GenAI names are those of semantic conventions v1.41, the last frozen text; they have since moved to
`open-telemetry/semantic-conventions-genai`, where nothing is released yet. `OTEL_SEMCONV_STABILITY_OPT_IN` switches:
`gen_ai_latest_experimental` to what is to come there, `gen_ai_latest_experimental/dup` to both. RPC names are those of
the release candidate (`docs/rpc/grpc.md`). Own names begin with `muxer.`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
LATEST = "gen_ai_latest_experimental"
OWN = "muxer."

# RPC, of the server span and its metric.
RPC_SYSTEM = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_STATUS = "rpc.response.status_code"
ERROR_TYPE = "error.type"
GRPC = "grpc"

# HTTP, of the span of an attempt.
HTTP_METHOD = "http.request.method"
HTTP_STATUS = "http.response.status_code"
HTTP_RESENDS = "http.request.resend_count"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"

# GenAI, of the span of a completion and its metrics.
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
REQUEST_STREAM = "gen_ai.request.stream"
MAX_TOKENS = "gen_ai.request.max_tokens"
TEMPERATURE = "gen_ai.request.temperature"
TOP_P = "gen_ai.request.top_p"
SEED = "gen_ai.request.seed"
FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
STOP = "gen_ai.request.stop_sequences"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
# No convention yet (open-telemetry/semantic-conventions-genai#443); Langfuse reads it, in USD.
COST_USD = "gen_ai.usage.cost"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
CHAT = "chat"

# Own attributes.
TENANT = f"{OWN}tenant.id"
DECISION_ID = f"{OWN}decision.id"
COMPLETION_ID = f"{OWN}completion.id"
STRATEGY = f"{OWN}strategy"
INTENT = f"{OWN}intent"
COMPLEXITY = f"{OWN}complexity"
REQUESTED_MODEL = f"{OWN}requested_model"
SELECTED_MODEL = f"{OWN}selected_model"
MODEL = f"{OWN}model"
TIER = f"{OWN}tier"
CANDIDATES = f"{OWN}candidate.count"
EXCLUSIONS = f"{OWN}exclusions"
FALLBACKS = f"{OWN}fallbacks"
PRICE_BOOK = f"{OWN}price_book.version"
DECIDE_SECONDS = f"{OWN}decide.duration"
ATTEMPT_NUMBER = f"{OWN}attempt.number"
ATTEMPTS = f"{OWN}attempt.count"
FAILURE_CLASS = f"{OWN}failure_class"
VENDOR_CODE = f"{OWN}vendor.error_code"
OUTCOME = f"{OWN}outcome"
COST_NANO_USD = f"{OWN}cost_nano_usd"
USAGE_SOURCE = f"{OWN}usage.source"
REASON = f"{OWN}reason"
ROLE = f"{OWN}role"
# What a model was asked for that is no answer to a caller.
JUDGE = "judge"

# Of these each call has its own value.
UNIQUE = frozenset({DECISION_ID, COMPLETION_ID, RESPONSE_ID, INPUT_MESSAGES, OUTPUT_MESSAGES, f"{OWN}request.id"})


@dataclass(frozen=True, slots=True)
class Profile:
    """Which GenAI names are sent."""

    v1_41: bool = True
    latest: bool = False


def profile_of(environment: Mapping[str, str]) -> Profile:
    """Reads the switch of the conventions."""
    wanted = {word.strip() for word in environment.get(OPT_IN, "").split(",")}
    if f"{LATEST}/dup" in wanted:
        return Profile(v1_41=True, latest=True)
    return Profile(v1_41=LATEST not in wanted, latest=LATEST in wanted)


_DURATIONS = tuple(0.01 * 2**n for n in range(14))
# The convention ends at 10 s; answers of models take longer.
_RPC_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
_TOKENS = tuple(4.0**n for n in range(14))


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: name, unit (UCUM), what it tells, the names of its attributes and, of a histogram, its bounds."""

    name: str
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


OPERATION_DURATION = Metric(
    "gen_ai.client.operation.duration",
    "s",
    "Time from a completion's first attempt to its end.",
    (OPERATION, PROVIDER, REQUEST_MODEL, ERROR_TYPE),
    _DURATIONS,
)
TOKEN_USAGE = Metric(
    "gen_ai.client.token.usage",
    "{token}",
    "Tokens of completions as their providers count them.",
    (OPERATION, PROVIDER, REQUEST_MODEL, TOKEN_TYPE),
    _TOKENS,
)
FIRST_CHUNK = Metric(
    "gen_ai.client.operation.time_to_first_chunk",
    "s",
    "Time from a stream's first attempt to the first piece of its answer.",
    (OPERATION, PROVIDER, REQUEST_MODEL),
    _DURATIONS,
)
LATEST_DURATION = Metric(
    "gen_ai.client.inference.duration",
    "s",
    OPERATION_DURATION.description,
    OPERATION_DURATION.attributes,
    _DURATIONS,
)
LATEST_FIRST_CHUNK = Metric(
    "gen_ai.client.inference.time_to_first_chunk", "s", FIRST_CHUNK.description, FIRST_CHUNK.attributes, _DURATIONS
)
CALL_DURATION = Metric(
    "rpc.server.call.duration",
    "s",
    "Time from a call's arrival to its status.",
    (RPC_SYSTEM, RPC_METHOD, RPC_STATUS, ERROR_TYPE),
    _RPC_DURATIONS,
)
DECIDE_DURATION = Metric(
    f"{OWN}decide.duration",
    "s",
    "Time to classify a prompt and to decide on a model.",
    (STRATEGY,),
    (0.00005, 0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.1, 1),
)
COMMIT_DURATION = Metric(
    f"{OWN}ledger.commit.duration",
    "s",
    "Time that a transaction of the ledger's writer took.",
    (),
    (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
COMMIT_CHANGES = Metric(
    f"{OWN}ledger.commit.changes",
    "{change}",
    "Reservations, settlements and other changes in a transaction of the ledger's writer.",
    (),
    (1, 2, 4, 8, 16, 32, 64, 128, 256),
)
HISTOGRAMS = (
    OPERATION_DURATION,
    TOKEN_USAGE,
    FIRST_CHUNK,
    LATEST_DURATION,
    LATEST_FIRST_CHUNK,
    CALL_DURATION,
    DECIDE_DURATION,
    COMMIT_DURATION,
    COMMIT_CHANGES,
)

_LATEST_USAGE = (OPERATION, PROVIDER, REQUEST_MODEL)
LATEST_TOKENS = {
    kind: Metric(f"gen_ai.client.inference.usage.{kind}", "{token}", f"Tokens: {kind}.", _LATEST_USAGE)
    for kind in (
        "input_tokens",
        "output_tokens",
        "cache_read.input_tokens",
        "cache_write.input_tokens",
        "reasoning.output_tokens",
    )
}
DECISIONS = Metric(f"{OWN}decisions", "{decision}", "Decisions, by what was decided.", (STRATEGY, INTENT, MODEL))
COMPLETIONS = Metric(
    f"{OWN}completions", "{completion}", "Completions that ended, by how.", (PROVIDER, MODEL, INTENT, OUTCOME, REASON)
)
ATTEMPTS_MADE = Metric(
    f"{OWN}attempts",
    "{attempt}",
    "Attempts at providers; a failed one has its class.",
    (PROVIDER, MODEL, FAILURE_CLASS),
)
COST = Metric(f"{OWN}cost", "{nano_usd}", "Cost of completions in nano-USD.", (PROVIDER, MODEL, INTENT))
TOKENS = Metric(f"{OWN}tokens", "{token}", "Tokens by kind, estimates included.", (PROVIDER, MODEL, TOKEN_TYPE))
REFUSALS = Metric(f"{OWN}refusals", "{call}", "Calls that ended with an error, by its reason.", (REASON,))
COMMIT_FAILURES = Metric(f"{OWN}ledger.commit.failures", "{transaction}", "Transactions of the writer that failed.")
RESERVED = Metric(f"{OWN}ledger.reserved", "{nano_usd}", "What was held for completions, in nano-USD.")
SETTLED = Metric(f"{OWN}ledger.settled", "{nano_usd}", "What completions came to, in nano-USD.")
COUNTERS = (
    RESERVED,
    SETTLED,
    DECISIONS,
    COMPLETIONS,
    ATTEMPTS_MADE,
    COST,
    TOKENS,
    REFUSALS,
    COMMIT_FAILURES,
    *LATEST_TOKENS.values(),
)

CACHE_RESULT = f"{OWN}cache.result"
SCOPE = f"{OWN}scope"
STATE = f"{OWN}state"
VERSION = f"{OWN}version"
SHARE = f"{OWN}share"
KIND = f"{OWN}kind"

# Looked up when metrics are read: counters of other parts, and how things stand.
CACHE_ANSWERS = Metric(f"{OWN}cache.requests", "{request}", "Look-ups of answers: hit, shared, miss.", (CACHE_RESULT,))
CACHE_SAVED = Metric(f"{OWN}cache.saved", "{nano_usd}", "What kept answers would have cost, in nano-USD.")
CACHE_BYTES = Metric(f"{OWN}cache.size", "By", "Bytes of the answers that are kept in memory.")
SHED = Metric(f"{OWN}shed", "{call}", "Calls that were refused before work on them began.", (KIND,))
IN_FLIGHT = Metric(f"{OWN}calls.active", "{call}", "Calls under way.", (KIND,))
LOOP_LAG = Metric(f"{OWN}event_loop.lag", "s", "By how much the event loop is late.")
QUEUE = Metric(f"{OWN}ledger.queue", "{change}", "Changes that wait for the ledger's writer.")
BREAKER = Metric(
    f"{OWN}breaker.state", "1", "1 for the state that a breaker is in, 0 for the others.", (SCOPE, MODEL, STATE)
)
BUILD = Metric(f"{OWN}build", "1", "1, with the version that runs.", (VERSION,))
BOOK = Metric(f"{OWN}price_book", "1", "1, with the version of the price book in force.", (VERSION,))
ALERTS = Metric(f"{OWN}budget.alerts", "{alert}", "Alerts of budgets, by the share in percent.", (SHARE,))
LAST_PROBE = Metric(f"{OWN}probe.age", "s", "Time since a provider was last probed or answered a call.", (PROVIDER,))
SPANS = Metric(f"{OWN}telemetry.spans", "{span}", "Spans by what became of them: sent, failed, dropped.", (KIND,))
OBSERVED = (
    SPANS,
    CACHE_ANSWERS,
    CACHE_SAVED,
    CACHE_BYTES,
    SHED,
    IN_FLIGHT,
    LOOP_LAG,
    QUEUE,
    BREAKER,
    BUILD,
    BOOK,
    ALERTS,
    LAST_PROBE,
)
