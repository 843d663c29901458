"""Mistral AI: models from Europe. A key. https://docs.mistral.ai/api"""

from datetime import date

from ossature.kernel.outbound.provider import ErrorKind
from ossature.services.hub.domain.chat import ModelCard
from ossature.services.hub.providers.ai.wire import Quirks, cloud, model_provider

models = model_provider(
    cloud(
        id="mistral",
        title="Mistral AI",
        base_url="https://api.mistral.ai/v1",
        region="EU",
        quirks=(
            "fields that it does not know are refused",
            "`seed` is called `random_seed`",
            "usage of a stream comes with the last words, always",
            "chunks are padded by a field `p`",
        ),
        docs="https://docs.mistral.ai/api",
        read_on=date(2026, 11, 21),
        rank=75,
    ),
    (
        ModelCard(id="mistral-large-latest", context_tokens=131_072),
        ModelCard(id="mistral-medium-latest", context_tokens=131_072),
        ModelCard(id="mistral-small-latest", context_tokens=131_072),
        ModelCard(id="ministral-8b-latest", context_tokens=131_072),
        ModelCard(id="codestral-latest", context_tokens=262_144),
    ),
    Quirks(
        renames={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
        ignores=frozenset(
            {"user", "store", "service_tier", "safety_identifier", "prompt_cache_key", "verbosity", "reasoning_effort"}
        ),
        lacks=frozenset(
            {"logprobs", "top_logprobs", "logit_bias", "modalities", "audio", "web_search_options", "functions"}
        ),
        include_usage=False,
        padding="p",
        codes={"3051": ErrorKind.CONTEXT_LENGTH, "1500": ErrorKind.NOT_FOUND},
    ),
)
