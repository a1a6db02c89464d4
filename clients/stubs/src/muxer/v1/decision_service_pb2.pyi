import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from muxer.v1 import price_service_pb2 as _price_service_pb2
from muxer.v1 import routing_pb2 as _routing_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RemedyKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REMEDY_KIND_UNSPECIFIED: _ClassVar[RemedyKind]
    REMEDY_KIND_POLICY: _ClassVar[RemedyKind]
    REMEDY_KIND_REQUEST: _ClassVar[RemedyKind]
    REMEDY_KIND_OPERATOR: _ClassVar[RemedyKind]
    REMEDY_KIND_TIME: _ClassVar[RemedyKind]

class AlternativeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALTERNATIVE_KIND_UNSPECIFIED: _ClassVar[AlternativeKind]
    ALTERNATIVE_KIND_UNAVAILABLE: _ClassVar[AlternativeKind]
    ALTERNATIVE_KIND_STRATEGY: _ClassVar[AlternativeKind]
    ALTERNATIVE_KIND_ADMITTED: _ClassVar[AlternativeKind]
    ALTERNATIVE_KIND_QUALITY_TARGET: _ClassVar[AlternativeKind]
    ALTERNATIVE_KIND_WEIGHT: _ClassVar[AlternativeKind]
    ALTERNATIVE_KIND_INTENT: _ClassVar[AlternativeKind]
    ALTERNATIVE_KIND_COMPLEXITY: _ClassVar[AlternativeKind]
    ALTERNATIVE_KIND_AUTOMATIC: _ClassVar[AlternativeKind]
REMEDY_KIND_UNSPECIFIED: RemedyKind
REMEDY_KIND_POLICY: RemedyKind
REMEDY_KIND_REQUEST: RemedyKind
REMEDY_KIND_OPERATOR: RemedyKind
REMEDY_KIND_TIME: RemedyKind
ALTERNATIVE_KIND_UNSPECIFIED: AlternativeKind
ALTERNATIVE_KIND_UNAVAILABLE: AlternativeKind
ALTERNATIVE_KIND_STRATEGY: AlternativeKind
ALTERNATIVE_KIND_ADMITTED: AlternativeKind
ALTERNATIVE_KIND_QUALITY_TARGET: AlternativeKind
ALTERNATIVE_KIND_WEIGHT: AlternativeKind
ALTERNATIVE_KIND_INTENT: AlternativeKind
ALTERNATIVE_KIND_COMPLEXITY: AlternativeKind
ALTERNATIVE_KIND_AUTOMATIC: AlternativeKind

class DecisionRecord(_message.Message):
    __slots__ = ("decision_id", "tenant_id", "user_id", "completion_id", "strategy", "intent", "selected_model", "decision", "create_time", "expire_time")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_ID_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    SELECTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    tenant_id: str
    user_id: str
    completion_id: str
    strategy: str
    intent: _routing_pb2.Intent
    selected_model: str
    decision: _routing_pb2.RouteDecision
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, decision_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., completion_id: _Optional[str] = ..., strategy: _Optional[str] = ..., intent: _Optional[_Union[_routing_pb2.Intent, str]] = ..., selected_model: _Optional[str] = ..., decision: _Optional[_Union[_routing_pb2.RouteDecision, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListDecisionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "tenant_id", "user_id", "strategy", "intent", "selected_model", "dry_run", "since", "until")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    SELECTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    tenant_id: str
    user_id: str
    strategy: str
    intent: _routing_pb2.Intent
    selected_model: str
    dry_run: bool
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., tenant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., strategy: _Optional[str] = ..., intent: _Optional[_Union[_routing_pb2.Intent, str]] = ..., selected_model: _Optional[str] = ..., dry_run: _Optional[bool] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListDecisionsResponse(_message.Message):
    __slots__ = ("decisions", "next_page_token")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[DecisionRecord]
    next_page_token: str
    def __init__(self, decisions: _Optional[_Iterable[_Union[DecisionRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetDecisionRequest(_message.Message):
    __slots__ = ("tenant_id", "decision_id")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    decision_id: str
    def __init__(self, tenant_id: _Optional[str] = ..., decision_id: _Optional[str] = ...) -> None: ...

class GetDecisionResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: DecisionRecord
    def __init__(self, decision: _Optional[_Union[DecisionRecord, _Mapping]] = ...) -> None: ...

class ExplainDecisionRequest(_message.Message):
    __slots__ = ("tenant_id", "decision_id", "completion_id")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    decision_id: str
    completion_id: str
    def __init__(self, tenant_id: _Optional[str] = ..., decision_id: _Optional[str] = ..., completion_id: _Optional[str] = ...) -> None: ...

class ExplainDecisionResponse(_message.Message):
    __slots__ = ("decision", "candidates", "exclusions", "alternatives", "reproduced", "present_model", "models_changed", "prices_changed")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIONS_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    REPRODUCED_FIELD_NUMBER: _ClassVar[int]
    PRESENT_MODEL_FIELD_NUMBER: _ClassVar[int]
    MODELS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    PRICES_CHANGED_FIELD_NUMBER: _ClassVar[int]
    decision: DecisionRecord
    candidates: _containers.RepeatedCompositeFieldContainer[CandidateExplanation]
    exclusions: _containers.RepeatedCompositeFieldContainer[ExclusionExplanation]
    alternatives: _containers.RepeatedCompositeFieldContainer[Alternative]
    reproduced: bool
    present_model: str
    models_changed: bool
    prices_changed: bool
    def __init__(self, decision: _Optional[_Union[DecisionRecord, _Mapping]] = ..., candidates: _Optional[_Iterable[_Union[CandidateExplanation, _Mapping]]] = ..., exclusions: _Optional[_Iterable[_Union[ExclusionExplanation, _Mapping]]] = ..., alternatives: _Optional[_Iterable[_Union[Alternative, _Mapping]]] = ..., reproduced: _Optional[bool] = ..., present_model: _Optional[str] = ..., models_changed: _Optional[bool] = ..., prices_changed: _Optional[bool] = ...) -> None: ...

class CandidateExplanation(_message.Message):
    __slots__ = ("model", "rank", "score", "behind", "factors", "fallback_rank")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_RANK_FIELD_NUMBER: _ClassVar[int]
    model: str
    rank: int
    score: float
    behind: float
    factors: _containers.RepeatedCompositeFieldContainer[FactorExplanation]
    fallback_rank: int
    def __init__(self, model: _Optional[str] = ..., rank: _Optional[int] = ..., score: _Optional[float] = ..., behind: _Optional[float] = ..., factors: _Optional[_Iterable[_Union[FactorExplanation, _Mapping]]] = ..., fallback_rank: _Optional[int] = ...) -> None: ...

class FactorExplanation(_message.Message):
    __slots__ = ("name", "value", "weight", "contribution", "behind")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    weight: float
    contribution: float
    behind: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., weight: _Optional[float] = ..., contribution: _Optional[float] = ..., behind: _Optional[float] = ...) -> None: ...

class ExclusionExplanation(_message.Message):
    __slots__ = ("exclusion", "remedy", "remedy_kind", "rank_if_admitted", "score_if_admitted")
    EXCLUSION_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    REMEDY_KIND_FIELD_NUMBER: _ClassVar[int]
    RANK_IF_ADMITTED_FIELD_NUMBER: _ClassVar[int]
    SCORE_IF_ADMITTED_FIELD_NUMBER: _ClassVar[int]
    exclusion: _routing_pb2.Exclusion
    remedy: str
    remedy_kind: RemedyKind
    rank_if_admitted: int
    score_if_admitted: float
    def __init__(self, exclusion: _Optional[_Union[_routing_pb2.Exclusion, _Mapping]] = ..., remedy: _Optional[str] = ..., remedy_kind: _Optional[_Union[RemedyKind, str]] = ..., rank_if_admitted: _Optional[int] = ..., score_if_admitted: _Optional[float] = ...) -> None: ...

class Alternative(_message.Message):
    __slots__ = ("kind", "subject", "value_before", "value_after", "changes_choice", "selected_model", "explanation", "estimated_cost_nano_usd", "expected_quality")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    VALUE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    VALUE_AFTER_FIELD_NUMBER: _ClassVar[int]
    CHANGES_CHOICE_FIELD_NUMBER: _ClassVar[int]
    SELECTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_QUALITY_FIELD_NUMBER: _ClassVar[int]
    kind: AlternativeKind
    subject: str
    value_before: float
    value_after: float
    changes_choice: bool
    selected_model: str
    explanation: str
    estimated_cost_nano_usd: int
    expected_quality: float
    def __init__(self, kind: _Optional[_Union[AlternativeKind, str]] = ..., subject: _Optional[str] = ..., value_before: _Optional[float] = ..., value_after: _Optional[float] = ..., changes_choice: _Optional[bool] = ..., selected_model: _Optional[str] = ..., explanation: _Optional[str] = ..., estimated_cost_nano_usd: _Optional[int] = ..., expected_quality: _Optional[float] = ...) -> None: ...

class ReplayDecisionsRequest(_message.Message):
    __slots__ = ("tenant_id", "since", "until", "limit", "policy", "prices")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    limit: int
    policy: ReplayPolicy
    prices: _containers.RepeatedCompositeFieldContainer[_price_service_pb2.GivenPrice]
    def __init__(self, tenant_id: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limit: _Optional[int] = ..., policy: _Optional[_Union[ReplayPolicy, _Mapping]] = ..., prices: _Optional[_Iterable[_Union[_price_service_pb2.GivenPrice, _Mapping]]] = ...) -> None: ...

class ReplayPolicy(_message.Message):
    __slots__ = ("strategy", "weights", "quality_target", "allowed_models", "denied_models")
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    QUALITY_TARGET_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    DENIED_MODELS_FIELD_NUMBER: _ClassVar[int]
    strategy: str
    weights: _routing_pb2.RoutingWeights
    quality_target: float
    allowed_models: _containers.RepeatedScalarFieldContainer[str]
    denied_models: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, strategy: _Optional[str] = ..., weights: _Optional[_Union[_routing_pb2.RoutingWeights, _Mapping]] = ..., quality_target: _Optional[float] = ..., allowed_models: _Optional[_Iterable[str]] = ..., denied_models: _Optional[_Iterable[str]] = ...) -> None: ...

class ReplayDecisionsResponse(_message.Message):
    __slots__ = ("total", "intents", "shifts", "exclusions", "skipped", "refused", "truncated", "earliest_time", "price_book_version", "fleet_version")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    INTENTS_FIELD_NUMBER: _ClassVar[int]
    SHIFTS_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIONS_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    EARLIEST_TIME_FIELD_NUMBER: _ClassVar[int]
    PRICE_BOOK_VERSION_FIELD_NUMBER: _ClassVar[int]
    FLEET_VERSION_FIELD_NUMBER: _ClassVar[int]
    total: ReplaySums
    intents: _containers.RepeatedCompositeFieldContainer[IntentReplay]
    shifts: _containers.RepeatedCompositeFieldContainer[ModelShift]
    exclusions: _containers.RepeatedCompositeFieldContainer[ExclusionShift]
    skipped: int
    refused: int
    truncated: bool
    earliest_time: _timestamp_pb2.Timestamp
    price_book_version: str
    fleet_version: str
    def __init__(self, total: _Optional[_Union[ReplaySums, _Mapping]] = ..., intents: _Optional[_Iterable[_Union[IntentReplay, _Mapping]]] = ..., shifts: _Optional[_Iterable[_Union[ModelShift, _Mapping]]] = ..., exclusions: _Optional[_Iterable[_Union[ExclusionShift, _Mapping]]] = ..., skipped: _Optional[int] = ..., refused: _Optional[int] = ..., truncated: _Optional[bool] = ..., earliest_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., price_book_version: _Optional[str] = ..., fleet_version: _Optional[str] = ...) -> None: ...

class ReplaySums(_message.Message):
    __slots__ = ("decisions", "changed", "pinned", "measured", "cost_before_nano_usd", "cost_after_nano_usd", "quality_before", "quality_after")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    COST_BEFORE_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    COST_AFTER_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    QUALITY_BEFORE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_AFTER_FIELD_NUMBER: _ClassVar[int]
    decisions: int
    changed: int
    pinned: int
    measured: int
    cost_before_nano_usd: int
    cost_after_nano_usd: int
    quality_before: float
    quality_after: float
    def __init__(self, decisions: _Optional[int] = ..., changed: _Optional[int] = ..., pinned: _Optional[int] = ..., measured: _Optional[int] = ..., cost_before_nano_usd: _Optional[int] = ..., cost_after_nano_usd: _Optional[int] = ..., quality_before: _Optional[float] = ..., quality_after: _Optional[float] = ...) -> None: ...

class IntentReplay(_message.Message):
    __slots__ = ("intent", "sums")
    INTENT_FIELD_NUMBER: _ClassVar[int]
    SUMS_FIELD_NUMBER: _ClassVar[int]
    intent: _routing_pb2.Intent
    sums: ReplaySums
    def __init__(self, intent: _Optional[_Union[_routing_pb2.Intent, str]] = ..., sums: _Optional[_Union[ReplaySums, _Mapping]] = ...) -> None: ...

class ModelShift(_message.Message):
    __slots__ = ("model_before", "model_after", "decisions", "cost_before_nano_usd", "cost_after_nano_usd")
    MODEL_BEFORE_FIELD_NUMBER: _ClassVar[int]
    MODEL_AFTER_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    COST_BEFORE_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    COST_AFTER_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    model_before: str
    model_after: str
    decisions: int
    cost_before_nano_usd: int
    cost_after_nano_usd: int
    def __init__(self, model_before: _Optional[str] = ..., model_after: _Optional[str] = ..., decisions: _Optional[int] = ..., cost_before_nano_usd: _Optional[int] = ..., cost_after_nano_usd: _Optional[int] = ...) -> None: ...

class ExclusionShift(_message.Message):
    __slots__ = ("reason", "before", "after")
    REASON_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    reason: _routing_pb2.ExclusionReason
    before: int
    after: int
    def __init__(self, reason: _Optional[_Union[_routing_pb2.ExclusionReason, str]] = ..., before: _Optional[int] = ..., after: _Optional[int] = ...) -> None: ...
