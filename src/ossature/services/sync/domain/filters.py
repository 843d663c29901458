"""Conditions on a row of the source: which rows are meant, and which are left out."""

import fnmatch
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

Row = Mapping[str, Any]

_MOST_DIGITS = 40
_NULL_WORDS = frozenset({"", "nan", "none", "null", "nat"})


class Filter(BaseModel):
    """One condition on a row; `any` holds when one of its conditions does."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    column: str = ""
    op: Literal[
        "eq", "ne", "in", "not_in", "lt", "le", "gt", "ge", "prefix", "glob", "is_null", "not_null",
        "eq_ci", "ne_ci", "in_ci", "not_in_ci", "prefix_ci", "glob_ci", "any",
    ]  # fmt: skip
    value: Any = None
    any: list["Filter"] = []
    on_excluded: Literal["ignore", "absent"] | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Filter":
        if self.op == "any":
            if not self.any or self.column:
                raise ValueError("`any` has conditions and no column of its own")
        elif not self.column:
            raise ValueError("a condition names a column")
        if self.op.removesuffix("_ci") in {"in", "not_in"} and not isinstance(self.value, list):
            msg = f"{self.op} takes a list"
            raise ValueError(msg)
        if self.op not in {"any", "is_null", "not_null"} and self.value is None:
            msg = f"{self.op} takes a value"
            raise ValueError(msg)
        return self

    def columns(self) -> frozenset[str]:
        """The source columns that are read."""
        return frozenset({self.column} - {""}).union(*(one.columns() for one in self.any))

    def holds(self, row: Row) -> bool:
        """Whether a row fulfils it. Nothing has no order, no beginning and no pattern; it is `ne` and `not_in` anything."""
        if self.op == "any":
            return any(condition.holds(row) for condition in self.any)
        held = row.get(self.column)
        if self.op in {"is_null", "not_null"}:
            return is_null(held) == (self.op == "is_null")
        wanted = self.value
        name = self.op.removesuffix("_ci")
        if self.op.endswith("_ci"):
            held = None if held is None else str(held).strip().casefold()
            wanted = [str(w).casefold() for w in wanted] if isinstance(wanted, list) else str(wanted).casefold()
        return _OPERATORS[name](held, wanted)


def decimal_of(text: str) -> Decimal | None:
    """A number that somebody may mean; None for anything else, such as one whose digits would fill the memory."""
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found.adjusted()) <= _MOST_DIGITS else None


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(held: Any, wanted: Any) -> bool:  # noqa: ANN401 - a cell
        if held is None:
            return False
        if isinstance(wanted, (int, float)) and isinstance(held, str):
            # A file gives its numbers as text, of which 9 is more than 10.
            number, limit = decimal_of(held), decimal_of(str(wanted))
            return number is not None and limit is not None and compare(number, limit)
        try:
            return compare(held, wanted)
        except TypeError:
            return compare(str(held), str(wanted))

    return holds


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda held, wanted: held == wanted,
    "ne": lambda held, wanted: held != wanted,
    "in": lambda held, wanted: held in wanted,
    "not_in": lambda held, wanted: held not in wanted,
    "lt": _ordered(lambda held, wanted: held < wanted),
    "le": _ordered(lambda held, wanted: held <= wanted),
    "gt": _ordered(lambda held, wanted: held > wanted),
    "ge": _ordered(lambda held, wanted: held >= wanted),
    "prefix": lambda held, wanted: held is not None and str(held).startswith(str(wanted)),
    "glob": lambda held, wanted: held is not None and fnmatch.fnmatchcase(str(held), str(wanted)),
}


def is_null(value: Any) -> bool:  # noqa: ANN401 - a cell
    """Nothing, a number that is none, or a word that stands for it."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value  # noqa: PLR0124 - NaN
    return isinstance(value, str) and value.strip().casefold() in _NULL_WORDS
