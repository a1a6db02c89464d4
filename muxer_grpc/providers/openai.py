"""OpenAI. https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

from muxer_grpc.providers.openai_chat import OpenAIChat
from muxer_grpc.providers.openai_chat_request import Dialect
from muxer_grpc.providers.registry import Adapter

DIALECT = Dialect(
    max_tokens_field="max_completion_tokens",
    reasoning_models_refuse_sampling=True,
    # Without it, the account's own settings would choose the tier, and with it the price.
    service_tier="default",
)

ADAPTER = Adapter(
    name="openai",
    build=lambda connection: OpenAIChat(connection, DIALECT),
    default_base_url="https://api.openai.com/v1",
    key_variable="OPENAI_API_KEY",
    base_url_variable="OPENAI_BASE_URL",
    # Without service_tier, web_search_options and modalities: each changes what a token costs, or costs beside tokens,
    # and the catalogue's prices would no longer be true.
    vendor_options=frozenset(
        {
            "logit_bias",
            "metadata",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "store",
            "user",
            "verbosity",
        }
    ),
)
