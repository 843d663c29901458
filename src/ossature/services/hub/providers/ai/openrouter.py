"""OpenRouter: models of many houses behind one account. A key. https://openrouter.ai/docs/api-reference/overview"""

from datetime import date

from ossature.services.hub.domain.chat import ModelCard
from ossature.services.hub.providers.ai.wire import Quirks, cloud, model_provider

models = model_provider(
    cloud(
        id="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        region="US",
        quirks=(
            "comments come before the first chunk",
            "usage comes on a chunk that repeats the end",
            "error codes are numbers; an error may come under status 200",
            "models whose name ends with `:free` have limits of their own",
        ),
        docs="https://openrouter.ai/docs/api-reference/overview",
        read_on=date(2026, 11, 21),
        rank=65,
    ),
    (
        ModelCard(id="openai/gpt-4o-mini", context_tokens=128_000, usd_in=0.15, usd_out=0.6),
        ModelCard(id="anthropic/claude-sonnet-4.5", context_tokens=200_000, usd_in=3, usd_out=15),
        ModelCard(id="meta-llama/llama-3.3-70b-instruct", context_tokens=131_072),
        ModelCard(id="meta-llama/llama-3.3-70b-instruct:free", context_tokens=65_536, usd_in=0, usd_out=0),
        ModelCard(id="deepseek/deepseek-r1:free", context_tokens=163_840, usd_in=0, usd_out=0),
    ),
    Quirks(renames={"max_completion_tokens": "max_tokens"}, reasoning="reasoning"),
)
