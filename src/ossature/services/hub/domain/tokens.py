"""How many tokens a request may use, before anybody has counted them: an upper bound that learns from what was counted."""

import re
from collections import deque
from collections.abc import Mapping

from msgspec import Raw

FIRST_RATIO = 1 / 3
"""Tokens for a byte, until a model has been seen counting. Tokenizers of most models need more bytes for a token."""
MARGIN = 1.1
DEFAULT_TOKENS_OUT = 4_096
"""What a model may write when neither the request nor its documents say."""
TOKENS_PER_IMAGE = 1_600

_SAMPLES = 100
_LARGE_BYTES = 16 * 1024
_ENCODED_IMAGE = re.compile(rb"data:[a-z/+.-]+;base64,[A-Za-z0-9+/=\\]*")
_COUNTED = ("messages", "tools", "functions", "response_format")


def size_bytes(fields: Mapping[str, Raw]) -> int:
    """How much of a request a model reads; an image that is written out counts as a model counts it, not by its bytes."""
    size = 0
    for name in _COUNTED:
        raw = fields.get(name)
        if raw is None:
            continue
        text = memoryview(raw)
        size += len(text)
        if len(text) > _LARGE_BYTES:
            for image in _ENCODED_IMAGE.finditer(text):
                size += int(TOKENS_PER_IMAGE / FIRST_RATIO) - (image.end() - image.start())
    return size


class TokenBounds:
    """Upper bounds of prompts, by model: never below the largest share of tokens in bytes of its last hundred prompts."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[float]] = {}
        self._ratio: dict[str, float] = {}

    def tokens_in(self, model: str, prompt_bytes: int) -> int:
        """At most so many tokens has a prompt of this size."""
        return int(prompt_bytes * self._ratio.get(model, FIRST_RATIO) * MARGIN) + 1

    def learn(self, model: str, prompt_bytes: int, tokens_in: int) -> None:
        """A prompt of this size was counted."""
        if prompt_bytes <= 0 or tokens_in <= 0:
            return
        seen = self._seen.setdefault(model, deque(maxlen=_SAMPLES))
        ratio = tokens_in / prompt_bytes
        largest = self._ratio.get(model, FIRST_RATIO)
        leaving = seen[0] if len(seen) == _SAMPLES else 0.0
        seen.append(ratio)
        if ratio > largest:
            self._ratio[model] = ratio
        elif leaving >= largest > FIRST_RATIO:
            self._ratio[model] = max(FIRST_RATIO, *seen)
