"""Any server that speaks OpenAI's Chat Completions: vLLM, llama.cpp, LM Studio, Groq, OpenRouter and many more.

It has no address of its own: settings give each such server a name, a base URL, and its models.
"""

from __future__ import annotations

from muxer_grpc.providers.openai_chat import OpenAIChat
from muxer_grpc.providers.openai_chat_request import Dialect
from muxer_grpc.providers.registry import Adapter

DIALECT = Dialect(sends_top_k=True)

ADAPTER = Adapter(
    name="compatible",
    build=lambda connection: OpenAIChat(connection, DIALECT),
    needs_key=False,
    # Without service_tier, which changes the prices of some vendors.
    vendor_options=frozenset({"logit_bias", "min_p", "repetition_penalty", "user"}),
)
