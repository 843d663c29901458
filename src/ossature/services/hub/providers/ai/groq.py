"""Groq: open models, quickly. A key, with a free allowance. https://console.groq.com/docs/api-reference"""

from datetime import date

from ossature.services.hub.domain.chat import ModelCard
from ossature.services.hub.providers.ai.wire import Quirks, cloud, model_provider, ratelimit_headers

models = model_provider(
    cloud(
        id="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        # Its limits are those of each model and account: what is left is believed from the headers.
        limit_headers=ratelimit_headers(requests_per_s=86_400),
        region="US",
        trains=False,
        quirks=("usage of a stream is at `x_groq.usage`", "reasoning is called `reasoning`", "no log probabilities"),
        docs="https://console.groq.com/docs/api-reference",
        read_on=date(2026, 11, 21),
        rank=70,
    ),
    (
        ModelCard(
            id="llama-3.3-70b-versatile", context_tokens=131_072, max_output_tokens=32_768, usd_in=0.59, usd_out=0.79
        ),
        ModelCard(
            id="llama-3.1-8b-instant", context_tokens=131_072, max_output_tokens=131_072, usd_in=0.05, usd_out=0.08
        ),
        ModelCard(id="openai/gpt-oss-120b", context_tokens=131_072, max_output_tokens=65_536),
        ModelCard(id="openai/gpt-oss-20b", context_tokens=131_072, max_output_tokens=65_536),
    ),
    Quirks(
        renames={"max_tokens": "max_completion_tokens"},
        lacks=frozenset({"logprobs", "top_logprobs", "logit_bias"}),
        reasoning="reasoning",
    ),
)
