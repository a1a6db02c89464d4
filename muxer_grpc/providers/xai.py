"""xAI. https://docs.x.ai/docs/api-reference#chat-completions"""

from __future__ import annotations

from muxer_grpc.providers.openai_chat import OpenAIChat
from muxer_grpc.providers.openai_chat_request import Dialect
from muxer_grpc.providers.registry import Adapter

DIALECT = Dialect(
    max_tokens_field="max_completion_tokens",
    # xAI counts reasoning beside the completion: total = prompt + completion + reasoning.
    reports_reasoning_apart=True,
    # Its reasoning models refuse penalties and stop strings; penalties are refused by most of its models.
    sends_penalties=False,
    reasoning_efforts=frozenset({"low", "high"}),
)

ADAPTER = Adapter(
    name="xai",
    build=lambda connection: OpenAIChat(connection, DIALECT),
    default_base_url="https://api.x.ai/v1",
    key_variable="XAI_API_KEY",
    base_url_variable="XAI_BASE_URL",
    # Without search_parameters: each source that is searched costs beside the tokens.
    vendor_options=frozenset({"user"}),
)
