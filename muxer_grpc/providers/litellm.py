"""A LiteLLM proxy. https://docs.litellm.ai/docs/proxy/user_keys

The proxy reads routing parameters from the body (`api_base` and others), so none of those may come from a caller.
"""

from __future__ import annotations

from muxer_grpc.providers.openai_chat import OpenAIChat
from muxer_grpc.providers.openai_chat_request import Dialect
from muxer_grpc.providers.registry import Adapter

DIALECT = Dialect(sends_top_k=True)

ADAPTER = Adapter(
    name="litellm",
    build=lambda connection: OpenAIChat(connection, DIALECT),
    key_variable="LITELLM_API_KEY",
    base_url_variable="LITELLM_BASE_URL",
    # A proxy on a private network may run without keys.
    needs_key=False,
    # Without service_tier, which changes the prices of some vendors.
    vendor_options=frozenset({"logit_bias", "user"}),
    discovers_models=True,
)
