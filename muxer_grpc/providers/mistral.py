"""Mistral. https://docs.mistral.ai/api/#tag/chat"""

from __future__ import annotations

from muxer_grpc.providers.openai_chat import OpenAIChat
from muxer_grpc.providers.openai_chat_request import Dialect
from muxer_grpc.providers.registry import Adapter

DIALECT = Dialect(
    seed_field="random_seed",
    required_tool_choice="any",
    # Mistral sends usage with the last chunk unasked and refuses fields that it does not know.
    sends_stream_options=False,
    sends_image_detail=False,
    reasoning_efforts=frozenset({"high"}),
    # https://docs.mistral.ai/guides/prefix/
    marks_prefix=True,
)

ADAPTER = Adapter(
    name="mistral",
    build=lambda connection: OpenAIChat(connection, DIALECT),
    default_base_url="https://api.mistral.ai/v1",
    key_variable="MISTRAL_API_KEY",
    base_url_variable="MISTRAL_BASE_URL",
    vendor_options=frozenset({"metadata", "prediction", "prompt_mode", "safe_prompt"}),
)
