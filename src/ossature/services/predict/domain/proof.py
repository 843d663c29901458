"""The chain of predictions in a file: each row carries the hash of the row before it.

hash = SHA-256 of the row's canonical JSON (RFC 8785) with `prev_hash` in it; the first row's is 64 zeros.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Final

GENESIS: Final = "0" * 64


def canonical(row: Mapping[str, Any]) -> str:
    """A flat row as RFC 8785 JSON: texts, whole numbers, finite floats, true, false and null.

    The general library does the same for any value and takes twenty times as long; a replay has a million rows.
    Raises: ValueError for a number without a JSON form.
    """
    return "{" + ",".join([label + _value(row[name]) for name, label in _labels(tuple(row))]) + "}"


def chained(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same rows with `seq` (from 1), `prev_hash` and `hash` at their end."""
    previous = GENESIS
    for seq, row in enumerate(rows, 1):
        before, (_, previous) = previous, linked(row, seq, previous)
        yield {**row, "seq": seq, "prev_hash": before, "hash": previous}


def linked(row: Mapping[str, Any], seq: int, previous: str) -> tuple[str, str]:
    """The canonical text of a row in its place, and its hash."""
    body = canonical({**row, "seq": seq, "prev_hash": previous})
    return body, hashlib.sha256(body.encode()).hexdigest()


def instant(at: datetime) -> str:
    """An instant as rows have it: UTC, with a fraction of a second only where there is one."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def first_fault(rows: Iterable[Mapping[str, Any]]) -> int | None:
    """The `seq` of the first row that is not as it was written, or not in its place; None when all are."""
    previous = GENESIS
    for seq, row in enumerate(rows, 1):
        bare = {name: value for name, value in row.items() if name != "hash"}
        try:
            made = hashlib.sha256(canonical(bare).encode()).hexdigest()
        except ValueError:  # no row that was written has such a value
            return seq
        if row["seq"] != seq or row["prev_hash"] != previous or row["hash"] != made:
            return seq
        previous = made
    return None


@lru_cache(maxsize=64)
def _labels(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Names in the order of their UTF-16 units, which RFC 8785 wants, each with its text: rows of a file share them."""
    return tuple(
        (name, f"{encode_basestring(name)}:") for name in sorted(names, key=lambda one: one.encode("utf-16-be"))
    )


def _value(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    raise ValueError(f"{type(value).__name__} has no place in a row")


def _number(value: float) -> str:
    """ECMAScript's text of a number, which RFC 8785 wants; Python's differs below 1e-4, from 1e16 on and for wholes."""
    text = repr(value)
    if "e" not in text and "n" not in text:
        return "0" if value == 0 else text.removesuffix(".0")
    if "n" in text:
        raise ValueError(f"{text} has no JSON form")
    digits, _, power = text.partition("e")
    exponent = int(power)
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    bare = digits.replace(".", "")
    if -6 <= exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{bare}"
    if 0 <= exponent < 21:
        return f"{sign}{bare.ljust(exponent + 1, '0')}"
    return f"{sign}{digits}e{'+' if exponent > 0 else ''}{exponent}"
