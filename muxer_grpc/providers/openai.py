"""OpenAI. https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

from muxer_grpc.providers.openai_chat import OpenAIChat
from muxer_grpc.providers.openai_chat_request import Dialect
from muxer_grpc.providers.registry import Adapter

DIALECT = Dialect(max_tokens_field="max_completion_tokens", reasoning_models_refuse_sampling=True)

ADAPTER = Adapter(
    name="openai",
    build=lambda connection: OpenAIChat(connection, DIALECT),
    default_base_url="https://api.openai.com/v1",
    key_variable="OPENAI_API_KEY",
    base_url_variable="OPENAI_BASE_URL",
    vendor_options=frozenset(
        {
            "logit_bias",
            "metadata",
            "modalities",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            "store",
            "user",
            "verbosity",
            "web_search_options",
        }
    ),
)
