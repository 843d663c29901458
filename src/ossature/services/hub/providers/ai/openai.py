"""OpenAI: the reference of the chat form. A key. https://platform.openai.com/docs/api-reference/chat"""

from datetime import date

from ossature.services.hub.domain.chat import ModelCard
from ossature.services.hub.providers.ai.wire import Quirks, cloud, model_provider, ratelimit_headers

models = model_provider(
    cloud(
        id="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        limit_headers=ratelimit_headers(requests_per_s=60),
        region="US",
        trains=False,
        quirks=("`max_tokens` is called `max_completion_tokens`", "usage of a stream is a last chunk without choices"),
        docs="https://platform.openai.com/docs/api-reference/chat",
        read_on=date(2026, 11, 21),
        rank=90,
    ),
    (
        ModelCard(id="gpt-4o", context_tokens=128_000, max_output_tokens=16_384, usd_in=2.5, usd_out=10),
        ModelCard(id="gpt-4o-mini", context_tokens=128_000, max_output_tokens=16_384, usd_in=0.15, usd_out=0.6),
        ModelCard(id="gpt-4.1", context_tokens=1_047_576, max_output_tokens=32_768, usd_in=2, usd_out=8),
        ModelCard(id="gpt-4.1-mini", context_tokens=1_047_576, max_output_tokens=32_768, usd_in=0.4, usd_out=1.6),
        ModelCard(id="gpt-4.1-nano", context_tokens=1_047_576, max_output_tokens=32_768, usd_in=0.1, usd_out=0.4),
    ),
    # Reasoning models refuse the old name, all others take the new one.
    Quirks(renames={"max_tokens": "max_completion_tokens"}),
)
