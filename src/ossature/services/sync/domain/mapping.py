"""From a row of the source to the record that the target should have, by a closed list of functions.

A field is made by one head (`column`, `const`, `date`, ...), then shaped by `strip`, `collapse_spaces`, `lower`, `upper`,
`table`, `truncate` and `default`, in this order. What cannot be made refuses its row alone, never the whole.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ossature.services.sync.domain.canonical import Unreadable, boolean, instant, is_zone, parse_day
from ossature.services.sync.domain.filters import Filter, Row, decimal_of, is_null

Lookups = Mapping[str, Sequence[Row]]

HEADS: Mapping[str, frozenset[str]] = {
    "column": frozenset(),
    "const": frozenset(),
    "first_of": frozenset(),
    "bool": frozenset(),
    "int": frozenset(),
    "decimal": frozenset(),
    "date": frozenset({"formats", "day_first", "never", "tz"}),
    "instant": frozenset(),
    "lookup": frozenset({"from", "by", "give", "on_missing"}),
    "ref": frozenset(),
    "names": frozenset(),
    "list": frozenset({"split"}),
    "template": frozenset(),
    "when": frozenset({"then", "else"}),
}
"""The functions that make a value, each with the options that are its own."""

SHAPES = frozenset({"strip", "collapse_spaces", "lower", "upper", "table", "truncate", "default"})
_DAY_FIRST = ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%Y %H:%M:%S")
_BLANKS = re.compile(r"\s+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PLACE = re.compile(r"\{([^{}]+)\}")


class RowRefused(ValueError):  # noqa: N818 - it is said of a row
    """One row cannot become a record. field: of the target. code: `lookup_miss`, `invalid` or `missing_column`."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.code = code


def _zone(name: str) -> str:
    if not is_zone(name):
        raise ValueError("no time zone has that name")
    return name


Zone = Annotated[str, AfterValidator(_zone)]
"""The name of a time zone."""


class FieldMap(BaseModel):
    """How one field of the target is made: exactly one head, and what shapes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    column: str | None = None
    const: Any = None
    first_of: list[str] | None = None
    bool_: str | None = Field(None, alias="bool")
    int_: str | None = Field(None, alias="int")
    decimal: str | None = None
    date: str | None = None
    instant: str | None = None
    lookup: str | None = None
    ref: str | None = None
    names: dict[str, str] | None = None
    list_: str | None = Field(None, alias="list")
    template: str | None = None
    when: list[Filter] | None = None

    formats: list[str] | None = None
    day_first: bool | None = None
    never: str | None = None
    tz: Zone | None = None
    from_: str | None = Field(None, alias="from")
    by: str | None = None
    give: str | None = None
    on_missing: Literal["quarantine", "null", "first"] | None = None
    split: str | None = None
    then: Any = None
    else_: Any = Field(None, alias="else")

    strip: bool | None = None
    collapse_spaces: bool | None = None
    lower: bool | None = None
    upper: bool | None = None
    table: dict[str, Any] | None = None
    truncate: Annotated[int, Field(ge=1)] | None = None
    default: Any = None

    @cached_property
    def head(self) -> str:
        """The name of the function that makes the value."""
        return next(name for name in HEADS if name in self._given)

    @property
    def _given(self) -> set[str]:
        return {type(self).model_fields[name].alias or name for name in self.model_fields_set}

    @model_validator(mode="after")
    def _one_head(self) -> "FieldMap":
        heads = sorted(self._given & HEADS.keys())
        if len(heads) != 1:
            found = f"it has {' and '.join(heads)}" if heads else f"one of {', '.join(HEADS)}"
            msg = f"a field is made by exactly one function; {found}"
            raise ValueError(msg)
        for option in sorted(self._given - SHAPES - {heads[0]} - HEADS[heads[0]]):
            msg = f"{option!r} says nothing to {heads[0]}"
            raise ValueError(msg)
        if heads == ["lookup"] and not (self.from_ and self.by and self.give):
            raise ValueError("lookup takes from, by and give")
        return self

    def columns(self) -> frozenset[str]:
        """The source columns that are read."""
        said = getattr(self, _ATTRIBUTE.get(self.head, self.head))
        match self.head:
            case "const":
                found: Iterable[str | None] = ()
            case "first_of":
                found = said
            case "names":
                found = said.values()
            case "template":
                found = _PLACE.findall(said)
            case "when":
                found = frozenset().union(*(condition.columns() for condition in said))
            case _:
                found = (self.from_ if self.head == "lookup" else said,)
        return frozenset(map(str, found))


_ATTRIBUTE = {"bool": "bool_", "int": "int_", "list": "list_"}


def _anything(_record: Row) -> None:
    """Every record will do."""


@dataclass(frozen=True, slots=True)
class Mapper:
    """Makes records out of rows. fields: in the order of the file. lookups: sets of the target, read once.

    check: refuses a record that the target would not take, by RowRefused.
    """

    fields: Mapping[str, FieldMap]
    lookups: Lookups
    check: Callable[[Row], None] = _anything
    _ways: tuple[tuple[str, FieldMap, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find out which fields are columns as they are."""
        ways = [(name, one, (one.column or "") if _is_plain(one) else "") for name, one in self.fields.items()]
        object.__setattr__(self, "_ways", tuple(ways))

    def record(self, row: Row) -> dict[str, Any]:
        """The record that a row means. Raises: RowRefused."""
        record: dict[str, Any] = {}
        for name, field_map, column in self._ways:
            value = row.get(column) if column else None
            # Most cells are such text, of which nothing can be wrong; the whole way takes several times as long.
            if value.__class__ is str and value.isascii() and value.isprintable():
                record[name] = value.strip() if field_map.strip else value
            else:
                record[name] = self._made(name, field_map, row)
        self.check(record)
        return record

    def _made(self, name: str, field: FieldMap, row: Row) -> Any:  # noqa: ANN401 - any field
        try:
            value = _shaped(field, _HEAD_OF[field.head](self, name, field, row))
        except KeyError as missing:
            raise RowRefused(name, "missing_column", f"the source has no column {missing}") from None
        _refuse_dirt(name, value)
        return value

    def _lookup(self, name: str, field: FieldMap, row: Row) -> Any:  # noqa: ANN401
        wanted = _cell(row, field.from_ or "")
        records = self.lookups.get(field.lookup or "", ())
        if is_null(wanted) and field.default is not None:
            return None
        if wanted is not None:
            text = str(wanted).strip().casefold()
            for record in records:
                if str(record.get(field.by or "", "")).strip().casefold() == text:
                    return record.get(field.give or "")
        if field.on_missing == "null":
            return None
        if field.on_missing == "first" and records:
            return records[0].get(field.give or "")
        raise RowRefused(name, "lookup_miss", f"{masked(wanted)} is not among the {field.lookup}")


def _is_plain(field: FieldMap) -> bool:
    """Whether text in a column is at most stripped."""
    shapes = (field.collapse_spaces, field.lower, field.upper, field.table is not None, field.truncate is not None)
    return field.head == "column" and field.default is None and not any(shapes)


def masked(value: Any) -> str:  # noqa: ANN401 - a cell
    """A value that may be personal, so that a person recognises it and nobody else learns it."""
    if value is None:
        return "nothing"
    text = str(value)
    return f"'{text[:2]}…' ({len(text)} characters)"


def _cell(row: Row, column: str) -> Any:  # noqa: ANN401
    value = row[column]
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN


def _bool(_mapper: Mapper, name: str, field: FieldMap, row: Row) -> bool | None:
    value = _cell(row, field.bool_ or "")
    found = None if is_null(value) else boolean(value)
    if isinstance(found, Unreadable):
        raise RowRefused(name, "invalid", f"{masked(value)} is neither yes nor no")
    return None if found is None else bool(found)


def _number(kind: type[int] | type[Decimal]) -> Callable[[Mapper, str, FieldMap, Row], int | str | None]:
    def make(_mapper: Mapper, name: str, field: FieldMap, row: Row) -> int | str | None:
        column = field.int_ if kind is int else field.decimal
        value = _cell(row, column or "")
        if is_null(value):
            return None
        found = decimal_of(str(value))
        if found is None or (kind is int and found != found.to_integral_value()):
            raise RowRefused(name, "invalid", f"{masked(value)} is not a number of this kind")
        return int(found) if kind is int else format(found, "f")

    return make


def _date(_mapper: Mapper, name: str, field: FieldMap, row: Row) -> str | None:
    value = _cell(row, field.date or "")
    if is_null(value):
        return None
    formats = (*(field.formats or ()), *(_DAY_FIRST if field.day_first else ()))
    found = parse_day(value, tz=field.tz or "UTC", formats=formats)
    if found is None:
        raise RowRefused(name, "invalid", f"{masked(value)} is not a day")
    return None if found.isoformat() == field.never else found.isoformat()


def _instant(_mapper: Mapper, name: str, field: FieldMap, row: Row) -> str | None:
    value = _cell(row, field.instant or "")
    found = None if is_null(value) else instant(value)
    if isinstance(found, Unreadable):
        raise RowRefused(name, "invalid", f"{masked(value)} is not a point in time")
    return None if found is None else str(found)


def _texts(_mapper: Mapper, _name: str, field: FieldMap, row: Row) -> dict[str, str]:
    texts = {culture: _cell(row, column) for culture, column in (field.names or {}).items()}
    return {culture: str(text).strip() for culture, text in sorted(texts.items()) if not is_null(text)}


def _parts(_mapper: Mapper, _name: str, field: FieldMap, row: Row) -> list[str]:
    value = _cell(row, field.list_ or "")
    if is_null(value):
        return []
    return [part for piece in str(value).split(field.split or ",") if (part := piece.strip())]


def _template(_mapper: Mapper, _name: str, field: FieldMap, row: Row) -> str:
    def put(place: re.Match[str]) -> str:
        value = _cell(row, place[1])
        return "" if value is None else str(value)

    return _PLACE.sub(put, field.template or "")


def _when(_mapper: Mapper, _name: str, field: FieldMap, row: Row) -> Any:  # noqa: ANN401
    return field.then if all(condition.holds(row) for condition in field.when or ()) else field.else_


def _ref(_mapper: Mapper, _name: str, field: FieldMap, row: Row) -> Any:  # noqa: ANN401
    value = _cell(row, field.ref or "")
    return None if is_null(value) else value.strip() if isinstance(value, str) else value


def _first_of(_mapper: Mapper, _name: str, field: FieldMap, row: Row) -> Any:  # noqa: ANN401
    return next((value for column in field.first_of or () if not is_null(value := _cell(row, column))), None)


_HEAD_OF: Mapping[str, Callable[[Mapper, str, FieldMap, Row], Any]] = {
    "column": lambda _mapper, _name, field, row: _cell(row, field.column or ""),
    "const": lambda _mapper, _name, field, _row: field.const,
    "first_of": _first_of,
    "bool": _bool,
    "int": _number(int),
    "decimal": _number(Decimal),
    "date": _date,
    "instant": _instant,
    "lookup": Mapper._lookup,  # noqa: SLF001 - of this very class
    "ref": _ref,
    "names": _texts,
    "list": _parts,
    "template": _template,
    "when": _when,
}


def _shaped(field: FieldMap, value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        value = unicodedata.normalize("NFC", value)
        if field.strip:
            value = value.strip()
        if field.collapse_spaces:
            value = _BLANKS.sub(" ", value).strip()
        if field.lower:
            value = value.lower()
        if field.upper:
            value = value.upper()
    if field.table is not None and value is not None:
        value = field.table.get(str(value), field.default if field.default is not None else value)
    if field.truncate is not None and isinstance(value, str):
        value = value[: field.truncate]
    return field.default if field.default is not None and is_null(value) else value


def _refuse_dirt(name: str, value: Any) -> None:  # noqa: ANN401
    for text in value.values() if isinstance(value, dict) else value if isinstance(value, list) else (value,):
        if not isinstance(text, str):
            continue
        if "\ufffd" in text:
            raise RowRefused(name, "invalid", "a character was lost when this was stored")
        if _CONTROLS.search(text):
            raise RowRefused(name, "invalid", "it holds a control character")
