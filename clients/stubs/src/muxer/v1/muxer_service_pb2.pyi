import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from muxer.v1 import chat_pb2 as _chat_pb2
from muxer.v1 import completion_pb2 as _completion_pb2
from muxer.v1 import metrics_pb2 as _metrics_pb2
from muxer.v1 import routing_pb2 as _routing_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RouteRequest(_message.Message):
    __slots__ = ("spec",)
    SPEC_FIELD_NUMBER: _ClassVar[int]
    spec: _chat_pb2.CompletionSpec
    def __init__(self, spec: _Optional[_Union[_chat_pb2.CompletionSpec, _Mapping]] = ...) -> None: ...

class RouteResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: _routing_pb2.RouteDecision
    def __init__(self, decision: _Optional[_Union[_routing_pb2.RouteDecision, _Mapping]] = ...) -> None: ...

class CompleteRequest(_message.Message):
    __slots__ = ("spec", "decision_id")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    spec: _chat_pb2.CompletionSpec
    decision_id: str
    def __init__(self, spec: _Optional[_Union[_chat_pb2.CompletionSpec, _Mapping]] = ..., decision_id: _Optional[str] = ...) -> None: ...

class CompleteResponse(_message.Message):
    __slots__ = ("decision", "message", "summary")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    decision: _routing_pb2.RouteDecision
    message: _chat_pb2.Message
    summary: _completion_pb2.CompletionSummary
    def __init__(self, decision: _Optional[_Union[_routing_pb2.RouteDecision, _Mapping]] = ..., message: _Optional[_Union[_chat_pb2.Message, _Mapping]] = ..., summary: _Optional[_Union[_completion_pb2.CompletionSummary, _Mapping]] = ...) -> None: ...

class StreamCompleteRequest(_message.Message):
    __slots__ = ("spec", "decision_id")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    spec: _chat_pb2.CompletionSpec
    decision_id: str
    def __init__(self, spec: _Optional[_Union[_chat_pb2.CompletionSpec, _Mapping]] = ..., decision_id: _Optional[str] = ...) -> None: ...

class StreamCompleteResponse(_message.Message):
    __slots__ = ("decision", "text_delta", "reasoning_delta", "tool_call_delta", "refusal_delta", "attempt_switched", "summary")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    TEXT_DELTA_FIELD_NUMBER: _ClassVar[int]
    REASONING_DELTA_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_DELTA_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_DELTA_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_SWITCHED_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    decision: _routing_pb2.RouteDecision
    text_delta: _completion_pb2.TextDelta
    reasoning_delta: _completion_pb2.ReasoningDelta
    tool_call_delta: _completion_pb2.ToolCallDelta
    refusal_delta: _completion_pb2.RefusalDelta
    attempt_switched: _completion_pb2.AttemptSwitched
    summary: _completion_pb2.CompletionSummary
    def __init__(self, decision: _Optional[_Union[_routing_pb2.RouteDecision, _Mapping]] = ..., text_delta: _Optional[_Union[_completion_pb2.TextDelta, _Mapping]] = ..., reasoning_delta: _Optional[_Union[_completion_pb2.ReasoningDelta, _Mapping]] = ..., tool_call_delta: _Optional[_Union[_completion_pb2.ToolCallDelta, _Mapping]] = ..., refusal_delta: _Optional[_Union[_completion_pb2.RefusalDelta, _Mapping]] = ..., attempt_switched: _Optional[_Union[_completion_pb2.AttemptSwitched, _Mapping]] = ..., summary: _Optional[_Union[_completion_pb2.CompletionSummary, _Mapping]] = ...) -> None: ...

class GetMetricsRequest(_message.Message):
    __slots__ = ("providers", "models", "intents", "strategies", "group_by", "window", "scope", "tenant_id")
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    INTENTS_FIELD_NUMBER: _ClassVar[int]
    STRATEGIES_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedScalarFieldContainer[str]
    models: _containers.RepeatedScalarFieldContainer[str]
    intents: _containers.RepeatedScalarFieldContainer[_routing_pb2.Intent]
    strategies: _containers.RepeatedScalarFieldContainer[str]
    group_by: _containers.RepeatedScalarFieldContainer[_metrics_pb2.MetricsDimension]
    window: _metrics_pb2.MetricsWindow
    scope: _metrics_pb2.MetricsScope
    tenant_id: str
    def __init__(self, providers: _Optional[_Iterable[str]] = ..., models: _Optional[_Iterable[str]] = ..., intents: _Optional[_Iterable[_Union[_routing_pb2.Intent, str]]] = ..., strategies: _Optional[_Iterable[str]] = ..., group_by: _Optional[_Iterable[_Union[_metrics_pb2.MetricsDimension, str]]] = ..., window: _Optional[_Union[_metrics_pb2.MetricsWindow, str]] = ..., scope: _Optional[_Union[_metrics_pb2.MetricsScope, str]] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class GetMetricsResponse(_message.Message):
    __slots__ = ("scope", "rows", "total", "process", "window", "start_time", "end_time", "tenant_id")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    scope: _metrics_pb2.MetricsScope
    rows: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.MetricsRow]
    total: _metrics_pb2.MetricsRow
    process: _metrics_pb2.ProcessStatus
    window: _metrics_pb2.MetricsWindow
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    tenant_id: str
    def __init__(self, scope: _Optional[_Union[_metrics_pb2.MetricsScope, str]] = ..., rows: _Optional[_Iterable[_Union[_metrics_pb2.MetricsRow, _Mapping]]] = ..., total: _Optional[_Union[_metrics_pb2.MetricsRow, _Mapping]] = ..., process: _Optional[_Union[_metrics_pb2.ProcessStatus, _Mapping]] = ..., window: _Optional[_Union[_metrics_pb2.MetricsWindow, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tenant_id: _Optional[str] = ...) -> None: ...
