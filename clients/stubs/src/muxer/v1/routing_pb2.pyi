import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelFeature(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_FEATURE_UNSPECIFIED: _ClassVar[ModelFeature]
    MODEL_FEATURE_VISION: _ClassVar[ModelFeature]
    MODEL_FEATURE_TOOLS: _ClassVar[ModelFeature]
    MODEL_FEATURE_JSON: _ClassVar[ModelFeature]
    MODEL_FEATURE_JSON_SCHEMA: _ClassVar[ModelFeature]
    MODEL_FEATURE_REASONING: _ClassVar[ModelFeature]
    MODEL_FEATURE_PREFILL: _ClassVar[ModelFeature]

class ModelTier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_TIER_UNSPECIFIED: _ClassVar[ModelTier]
    MODEL_TIER_ECONOMY: _ClassVar[ModelTier]
    MODEL_TIER_BALANCED: _ClassVar[ModelTier]
    MODEL_TIER_PREMIUM: _ClassVar[ModelTier]

class ExclusionReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXCLUSION_REASON_UNSPECIFIED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_MODEL_NOT_ALLOWED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_PROVIDER_NOT_ALLOWED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_REGION_NOT_ALLOWED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_FEATURE_MISSING: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_CONTEXT_WINDOW: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_COST_CEILING: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_NO_PRICE: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_NOT_REQUESTED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_PROVIDER_NOT_CONFIGURED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_OUTPUT_LIMIT: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_SIMULATED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_RETIRED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_LATENCY_CEILING: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_DISABLED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_BREAKER_OPEN: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_DEADLINE: _ClassVar[ExclusionReason]

class Intent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INTENT_UNSPECIFIED: _ClassVar[Intent]
    INTENT_CHAT_LITE: _ClassVar[Intent]
    INTENT_DEEP_REASON: _ClassVar[Intent]
    INTENT_CODE_GEN: _ClassVar[Intent]
    INTENT_JSON_EXTRACT: _ClassVar[Intent]
    INTENT_TRANSLATION: _ClassVar[Intent]
    INTENT_VISION: _ClassVar[Intent]
    INTENT_SAFETY_RISK: _ClassVar[Intent]

class Capability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPABILITY_UNSPECIFIED: _ClassVar[Capability]
    CAPABILITY_LOGICAL: _ClassVar[Capability]
    CAPABILITY_CODE: _ClassVar[Capability]
    CAPABILITY_MATHEMATICAL: _ClassVar[Capability]
    CAPABILITY_FACTUAL: _ClassVar[Capability]
    CAPABILITY_CREATIVE: _ClassVar[Capability]
    CAPABILITY_CONVERSATIONAL: _ClassVar[Capability]
MODEL_FEATURE_UNSPECIFIED: ModelFeature
MODEL_FEATURE_VISION: ModelFeature
MODEL_FEATURE_TOOLS: ModelFeature
MODEL_FEATURE_JSON: ModelFeature
MODEL_FEATURE_JSON_SCHEMA: ModelFeature
MODEL_FEATURE_REASONING: ModelFeature
MODEL_FEATURE_PREFILL: ModelFeature
MODEL_TIER_UNSPECIFIED: ModelTier
MODEL_TIER_ECONOMY: ModelTier
MODEL_TIER_BALANCED: ModelTier
MODEL_TIER_PREMIUM: ModelTier
EXCLUSION_REASON_UNSPECIFIED: ExclusionReason
EXCLUSION_REASON_MODEL_NOT_ALLOWED: ExclusionReason
EXCLUSION_REASON_PROVIDER_NOT_ALLOWED: ExclusionReason
EXCLUSION_REASON_REGION_NOT_ALLOWED: ExclusionReason
EXCLUSION_REASON_FEATURE_MISSING: ExclusionReason
EXCLUSION_REASON_CONTEXT_WINDOW: ExclusionReason
EXCLUSION_REASON_COST_CEILING: ExclusionReason
EXCLUSION_REASON_NO_PRICE: ExclusionReason
EXCLUSION_REASON_NOT_REQUESTED: ExclusionReason
EXCLUSION_REASON_PROVIDER_NOT_CONFIGURED: ExclusionReason
EXCLUSION_REASON_OUTPUT_LIMIT: ExclusionReason
EXCLUSION_REASON_SIMULATED: ExclusionReason
EXCLUSION_REASON_RETIRED: ExclusionReason
EXCLUSION_REASON_LATENCY_CEILING: ExclusionReason
EXCLUSION_REASON_DISABLED: ExclusionReason
EXCLUSION_REASON_BREAKER_OPEN: ExclusionReason
EXCLUSION_REASON_DEADLINE: ExclusionReason
INTENT_UNSPECIFIED: Intent
INTENT_CHAT_LITE: Intent
INTENT_DEEP_REASON: Intent
INTENT_CODE_GEN: Intent
INTENT_JSON_EXTRACT: Intent
INTENT_TRANSLATION: Intent
INTENT_VISION: Intent
INTENT_SAFETY_RISK: Intent
CAPABILITY_UNSPECIFIED: Capability
CAPABILITY_LOGICAL: Capability
CAPABILITY_CODE: Capability
CAPABILITY_MATHEMATICAL: Capability
CAPABILITY_FACTUAL: Capability
CAPABILITY_CREATIVE: Capability
CAPABILITY_CONVERSATIONAL: Capability

class RoutingPolicy(_message.Message):
    __slots__ = ("strategy", "allowed_models", "denied_models", "allowed_providers", "denied_providers", "allowed_regions", "required_features", "max_cost_nano_usd", "max_latency", "weights", "quality_target", "model_weights", "fall_back", "hedge")
    class ModelWeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    DENIED_MODELS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    DENIED_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_REGIONS_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FEATURES_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENCY_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    QUALITY_TARGET_FIELD_NUMBER: _ClassVar[int]
    MODEL_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    FALL_BACK_FIELD_NUMBER: _ClassVar[int]
    HEDGE_FIELD_NUMBER: _ClassVar[int]
    strategy: str
    allowed_models: _containers.RepeatedScalarFieldContainer[str]
    denied_models: _containers.RepeatedScalarFieldContainer[str]
    allowed_providers: _containers.RepeatedScalarFieldContainer[str]
    denied_providers: _containers.RepeatedScalarFieldContainer[str]
    allowed_regions: _containers.RepeatedScalarFieldContainer[str]
    required_features: _containers.RepeatedScalarFieldContainer[ModelFeature]
    max_cost_nano_usd: int
    max_latency: _duration_pb2.Duration
    weights: RoutingWeights
    quality_target: float
    model_weights: _containers.ScalarMap[str, float]
    fall_back: bool
    hedge: bool
    def __init__(self, strategy: _Optional[str] = ..., allowed_models: _Optional[_Iterable[str]] = ..., denied_models: _Optional[_Iterable[str]] = ..., allowed_providers: _Optional[_Iterable[str]] = ..., denied_providers: _Optional[_Iterable[str]] = ..., allowed_regions: _Optional[_Iterable[str]] = ..., required_features: _Optional[_Iterable[_Union[ModelFeature, str]]] = ..., max_cost_nano_usd: _Optional[int] = ..., max_latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., weights: _Optional[_Union[RoutingWeights, _Mapping]] = ..., quality_target: _Optional[float] = ..., model_weights: _Optional[_Mapping[str, float]] = ..., fall_back: _Optional[bool] = ..., hedge: _Optional[bool] = ...) -> None: ...

class RoutingWeights(_message.Message):
    __slots__ = ("quality", "cost", "performance", "availability")
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    PERFORMANCE_FIELD_NUMBER: _ClassVar[int]
    AVAILABILITY_FIELD_NUMBER: _ClassVar[int]
    quality: float
    cost: float
    performance: float
    availability: float
    def __init__(self, quality: _Optional[float] = ..., cost: _Optional[float] = ..., performance: _Optional[float] = ..., availability: _Optional[float] = ...) -> None: ...

class RouteDecision(_message.Message):
    __slots__ = ("decision_id", "create_time", "requested_model", "selected_model", "selected_provider", "fallback_models", "strategy", "explanation", "classification", "candidates", "exclusions", "policy_version", "price_book_version", "fleet_version", "estimated_input_tokens", "basis")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    SELECTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    SELECTED_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_MODELS_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIONS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    PRICE_BOOK_VERSION_FIELD_NUMBER: _ClassVar[int]
    FLEET_VERSION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    create_time: _timestamp_pb2.Timestamp
    requested_model: str
    selected_model: str
    selected_provider: str
    fallback_models: _containers.RepeatedScalarFieldContainer[str]
    strategy: str
    explanation: str
    classification: Classification
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    exclusions: _containers.RepeatedCompositeFieldContainer[Exclusion]
    policy_version: str
    price_book_version: str
    fleet_version: str
    estimated_input_tokens: int
    basis: DecisionBasis
    def __init__(self, decision_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., requested_model: _Optional[str] = ..., selected_model: _Optional[str] = ..., selected_provider: _Optional[str] = ..., fallback_models: _Optional[_Iterable[str]] = ..., strategy: _Optional[str] = ..., explanation: _Optional[str] = ..., classification: _Optional[_Union[Classification, _Mapping]] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., exclusions: _Optional[_Iterable[_Union[Exclusion, _Mapping]]] = ..., policy_version: _Optional[str] = ..., price_book_version: _Optional[str] = ..., fleet_version: _Optional[str] = ..., estimated_input_tokens: _Optional[int] = ..., basis: _Optional[_Union[DecisionBasis, _Mapping]] = ...) -> None: ...

class DecisionBasis(_message.Message):
    __slots__ = ("policy", "needed_features", "input_tokens", "max_output_tokens", "default_weights", "live_states", "rests", "too_slow_models", "turn")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FEATURES_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    LIVE_STATES_FIELD_NUMBER: _ClassVar[int]
    RESTS_FIELD_NUMBER: _ClassVar[int]
    TOO_SLOW_MODELS_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    policy: RoutingPolicy
    needed_features: _containers.RepeatedScalarFieldContainer[ModelFeature]
    input_tokens: _containers.RepeatedCompositeFieldContainer[TokenCount]
    max_output_tokens: int
    default_weights: RoutingWeights
    live_states: _containers.RepeatedCompositeFieldContainer[LiveState]
    rests: _containers.RepeatedCompositeFieldContainer[Rest]
    too_slow_models: _containers.RepeatedScalarFieldContainer[str]
    turn: int
    def __init__(self, policy: _Optional[_Union[RoutingPolicy, _Mapping]] = ..., needed_features: _Optional[_Iterable[_Union[ModelFeature, str]]] = ..., input_tokens: _Optional[_Iterable[_Union[TokenCount, _Mapping]]] = ..., max_output_tokens: _Optional[int] = ..., default_weights: _Optional[_Union[RoutingWeights, _Mapping]] = ..., live_states: _Optional[_Iterable[_Union[LiveState, _Mapping]]] = ..., rests: _Optional[_Iterable[_Union[Rest, _Mapping]]] = ..., too_slow_models: _Optional[_Iterable[str]] = ..., turn: _Optional[int] = ...) -> None: ...

class TokenCount(_message.Message):
    __slots__ = ("tokenizer", "tokens")
    TOKENIZER_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    tokenizer: str
    tokens: int
    def __init__(self, tokenizer: _Optional[str] = ..., tokens: _Optional[int] = ...) -> None: ...

class LiveState(_message.Message):
    __slots__ = ("model", "samples", "latency", "success_rate", "consecutive_failures")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_RATE_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_FAILURES_FIELD_NUMBER: _ClassVar[int]
    model: str
    samples: int
    latency: _duration_pb2.Duration
    success_rate: float
    consecutive_failures: int
    def __init__(self, model: _Optional[str] = ..., samples: _Optional[int] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., success_rate: _Optional[float] = ..., consecutive_failures: _Optional[int] = ...) -> None: ...

class Rest(_message.Message):
    __slots__ = ("name", "detail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    detail: str
    def __init__(self, name: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("model", "provider", "tier", "score", "factors", "estimated_cost_nano_usd", "expected_quality", "estimated_latency", "estimated_input_tokens", "estimated_output_tokens")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_QUALITY_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_LATENCY_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    model: str
    provider: str
    tier: ModelTier
    score: float
    factors: _containers.RepeatedCompositeFieldContainer[ScoreFactor]
    estimated_cost_nano_usd: int
    expected_quality: float
    estimated_latency: _duration_pb2.Duration
    estimated_input_tokens: int
    estimated_output_tokens: int
    def __init__(self, model: _Optional[str] = ..., provider: _Optional[str] = ..., tier: _Optional[_Union[ModelTier, str]] = ..., score: _Optional[float] = ..., factors: _Optional[_Iterable[_Union[ScoreFactor, _Mapping]]] = ..., estimated_cost_nano_usd: _Optional[int] = ..., expected_quality: _Optional[float] = ..., estimated_latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., estimated_input_tokens: _Optional[int] = ..., estimated_output_tokens: _Optional[int] = ...) -> None: ...

class ScoreFactor(_message.Message):
    __slots__ = ("name", "value", "weight")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    weight: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., weight: _Optional[float] = ...) -> None: ...

class Exclusion(_message.Message):
    __slots__ = ("model", "provider", "reason", "detail")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    model: str
    provider: str
    reason: ExclusionReason
    detail: str
    def __init__(self, model: _Optional[str] = ..., provider: _Optional[str] = ..., reason: _Optional[_Union[ExclusionReason, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class Classification(_message.Message):
    __slots__ = ("intent", "confidence", "capabilities", "complexity", "signals", "classifier_version", "gain", "difficulty", "settled", "runners_up")
    INTENT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    COMPLEXITY_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_VERSION_FIELD_NUMBER: _ClassVar[int]
    GAIN_FIELD_NUMBER: _ClassVar[int]
    DIFFICULTY_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    RUNNERS_UP_FIELD_NUMBER: _ClassVar[int]
    intent: Intent
    confidence: float
    capabilities: _containers.RepeatedCompositeFieldContainer[CapabilityScore]
    complexity: float
    signals: _containers.RepeatedCompositeFieldContainer[Signal]
    classifier_version: str
    gain: float
    difficulty: float
    settled: bool
    runners_up: _containers.RepeatedCompositeFieldContainer[IntentScore]
    def __init__(self, intent: _Optional[_Union[Intent, str]] = ..., confidence: _Optional[float] = ..., capabilities: _Optional[_Iterable[_Union[CapabilityScore, _Mapping]]] = ..., complexity: _Optional[float] = ..., signals: _Optional[_Iterable[_Union[Signal, _Mapping]]] = ..., classifier_version: _Optional[str] = ..., gain: _Optional[float] = ..., difficulty: _Optional[float] = ..., settled: _Optional[bool] = ..., runners_up: _Optional[_Iterable[_Union[IntentScore, _Mapping]]] = ...) -> None: ...

class IntentScore(_message.Message):
    __slots__ = ("intent", "score")
    INTENT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    intent: Intent
    score: float
    def __init__(self, intent: _Optional[_Union[Intent, str]] = ..., score: _Optional[float] = ...) -> None: ...

class CapabilityScore(_message.Message):
    __slots__ = ("capability", "score")
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    capability: Capability
    score: float
    def __init__(self, capability: _Optional[_Union[Capability, str]] = ..., score: _Optional[float] = ...) -> None: ...

class Signal(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
