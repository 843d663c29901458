"""Ollama: models on a machine of one's own. No key, nothing leaves the house. https://docs.ollama.com/openai"""

from datetime import date

from ossature.kernel.outbound.provider import Evidence, Manifest, Privacy, Term, TimeLimits
from ossature.services.hub.domain.chat import ModelCard
from ossature.services.hub.providers.ai.wire import MOST_ANSWER_BYTES, Quirks, model_provider

models = model_provider(
    Manifest(
        id="ollama",
        title="Ollama",
        base_url="http://localhost:11434/v1",
        # A model that is not loaded yet takes its time to say the first word.
        time_limits=TimeLimits(connect_s=0.5, first_byte_s=120, total_s=600),
        max_body_bytes=MOST_ANSWER_BYTES,
        terms=(
            Term(about="caching", holds=True),
            Term(about="commercial", holds=None, text="As each model's licence says."),
        ),
        privacy=Privacy(region="own machine", trains=False),
        quirks=("long prompts are cut, not refused", "reasoning is called `reasoning`"),
        docs="https://docs.ollama.com/openai",
        evidence=Evidence(how="docs", on=date(2026, 11, 21)),
        rank=40,
        private=True,
    ),
    (
        ModelCard(id="llama3.2", context_tokens=131_072, usd_in=0, usd_out=0),
        ModelCard(id="llama3.1:8b", context_tokens=131_072, usd_in=0, usd_out=0),
        ModelCard(id="mistral", context_tokens=32_768, usd_in=0, usd_out=0),
        ModelCard(id="qwen3:8b", context_tokens=40_960, usd_in=0, usd_out=0),
    ),
    Quirks(
        renames={"max_completion_tokens": "max_tokens"},
        lacks=frozenset({"logit_bias", "logprobs", "top_logprobs"}),
        reasoning="reasoning",
    ),
)
