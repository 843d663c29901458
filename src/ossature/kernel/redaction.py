"""Values of settings as they may be shown, and what must never be."""

import re
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, SecretStr

_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)(?=@)")


def secrets_in(value: object) -> Iterator[str]:
    """The text of every secret in a value, and of passwords inside of URLs."""
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        yield text
        yield from secrets_in(text)
    elif isinstance(value, str):
        yield from (found[2] for found in _PASSWORD.finditer(value))
    elif isinstance(value, BaseModel):
        yield from secrets_in(dict(value))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_in(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from secrets_in(item)


def redacted(value: object) -> str:
    """A value as it may be shown."""
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={redacted(item)}" for key, item in value.items())
    if isinstance(value, BaseModel):
        return redacted(dict(value))
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(redacted(item) for item in value)
    return _PASSWORD.sub(r"\1:********", str(value))
