"""The classifiers that tests decide with: the learned one that ships, and rules alone."""

from __future__ import annotations

from muxer_grpc.artefact import load_learned
from muxer_grpc.domain.classification.classifier import Classifier

LEARNED = Classifier(load_learned())
RULES = Classifier(None)

classify = LEARNED.classify
classify_by_rules = RULES.classify
