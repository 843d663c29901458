"""Embedding vectors by feature hashing: the same text gives the same vector, texts with common words are near."""

from array import array
from base64 import b64encode
from hashlib import blake2b
from math import sqrt

_SPREAD = 8


def embed(text: str, *, model: str, dimensions: int) -> list[float]:
    """Return a vector of length one."""
    vector = [0.0] * dimensions
    for word in text.casefold().split() or [""]:
        digest = blake2b(f"{model}\x1f{word}".encode(), digest_size=5 * _SPREAD).digest()
        for start in range(0, len(digest), 5):
            index = int.from_bytes(digest[start : start + 4], "big") % dimensions
            vector[index] += 1.0 if digest[start + 4] & 1 else -1.0
    length = sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def packed(vector: list[float]) -> str:
    """Return the vector as base64 of little-endian 32-bit floats (`encoding_format: "base64"`)."""
    return b64encode(array("f", vector).tobytes()).decode("ascii")
