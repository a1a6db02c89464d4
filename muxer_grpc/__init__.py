"""Muxer: a gRPC service that routes LLM calls, calls the chosen model, and accounts for it."""

__version__ = "0.1.0"
