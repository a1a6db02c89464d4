"""Client for Muxer: completions, streams, decisions and figures over gRPC, with typed errors."""

from muxer_client.channel import TlsOptions
from muxer_client.client import AsyncMuxerClient, MuxerClient
from muxer_client.errors import BY_REASON, MuxerError, StreamTruncated
from muxer_client.replies import Completion, Money
from muxer_client.requests import build_spec, message
from muxer_client.streams import AsyncCompletionStream, CompletionStream

__all__ = [
    "BY_REASON",
    "AsyncCompletionStream",
    "AsyncMuxerClient",
    "Completion",
    "CompletionStream",
    "Money",
    "MuxerClient",
    "MuxerError",
    "StreamTruncated",
    "TlsOptions",
    "build_spec",
    "message",
]
