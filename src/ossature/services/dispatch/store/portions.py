"""What statements of all tables take: long lists of values a portion at a time, and rows that are held."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

from sqlalchemy import Select

_T = TypeVar("_T")

PORTION: Final = 2_000
"""Databases take some thousands of values in one statement."""


def held(statement: Select[Any], *, hold: bool) -> Select[Any]:
    """The statement; hold: nobody else changes its rows before the transaction ends. (SQLite has one writer anyhow.)"""
    return statement.with_for_update() if hold else statement


def portions(values: Iterable[_T], most: int = PORTION) -> Iterator[list[_T]]:
    """The values in lists of at most so many; no list for no values."""
    some: list[_T] = []
    for value in values:
        some.append(value)
        if len(some) == most:
            yield some
            some = []
    if some:
        yield some
