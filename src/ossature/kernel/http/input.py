"""What callers send: a model that refuses fields which do not exist, and text that is not what it seems."""

import re
import unicodedata
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

# Control characters but tab and line ends, halves of letters, and right-to-left overrides and their like, which make a
# text look like another (CVE-2021-42574).
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class Input(BaseModel):
    """Base of what callers send: unknown fields and numbers that are no numbers are refused, text is NFC.

    A text may have line ends; a field of one line is a `kernel.http.validation.Line`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:  # noqa: ANN401 - whatever came
        return cleaned(value)


def cleaned(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A JSON value with every text in it as NFC. Raises: ValueError for characters that stand for no letter."""
    if isinstance(value, str):
        if value.isascii() and value.isprintable():
            return value
        if _NOT_TEXT.search(value):
            msg = "Control characters are not allowed."
            raise ValueError(msg)
        return unicodedata.normalize("NFC", value)
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    if isinstance(value, dict):
        return {cleaned(name): cleaned(one) for name, one in value.items()}
    return value
