"""The words for kinds of tasks: what a caller wants, and which abilities an answer calls for."""

from __future__ import annotations

from muxer_grpc.domain.enumeration import Named


class Intent(Named):
    """Names what a caller wants."""

    CHAT_LITE = "chat_lite"
    DEEP_REASON = "deep_reason"
    CODE_GEN = "code_gen"
    JSON_EXTRACT = "json_extract"
    TRANSLATION = "translation"
    VISION = "vision"
    SAFETY_RISK = "safety_risk"


class Capability(Named):
    """Names an ability that an answer calls for."""

    LOGICAL = "logical"
    CODE = "code"
    MATHEMATICAL = "mathematical"
    FACTUAL = "factual"
    CREATIVE = "creative"
    CONVERSATIONAL = "conversational"
