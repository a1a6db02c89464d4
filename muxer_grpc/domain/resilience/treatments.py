"""What each class of failure asks for: a table, so that unary calls, streams and every provider are treated alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.errors import FailureClass


class Reach(Named):
    """Says how far a failure reaches: this request alone, this model, or everything of its provider."""

    REQUEST = "request"
    MODEL = "model"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Treatment:
    """What a failure of one class asks for.

    `retries` of the same model may help; `fall_back` to another one may help; `counts` tells whether it speaks against
    the model's health; `rest_seconds` is how long the model, or its provider, is left alone at once.
    """

    retries: bool
    fall_back: bool
    counts: bool
    reach: Reach = Reach.REQUEST
    rest_seconds: float = 0.0


TREATMENTS: Mapping[FailureClass, Treatment] = MappingProxyType(
    {
        # Nothing of this provider works until an operator acts.
        FailureClass.CREDENTIAL: Treatment(False, True, False, Reach.PROVIDER, 60.0),
        FailureClass.QUOTA: Treatment(False, True, False, Reach.PROVIDER, 60.0),
        FailureClass.RATE_LIMIT: Treatment(True, True, False, Reach.MODEL, 1.0),
        FailureClass.OVERLOAD: Treatment(True, True, True, Reach.MODEL),
        # Another model would get the same request.
        FailureClass.CALLER_FAULT: Treatment(False, False, False),
        # A larger one may take it.
        FailureClass.CONTEXT_LENGTH: Treatment(False, True, False),
        FailureClass.CONTENT_FILTER: Treatment(False, False, False),
        FailureClass.TRANSIENT: Treatment(True, True, True, Reach.MODEL),
        # A silent target is not asked twice.
        FailureClass.TIMEOUT: Treatment(False, True, True, Reach.MODEL),
        FailureClass.PROTOCOL: Treatment(True, True, True, Reach.MODEL),
        FailureClass.MODEL_GONE: Treatment(False, True, False, Reach.MODEL, 300.0),
    }
)
