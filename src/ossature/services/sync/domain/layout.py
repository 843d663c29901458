"""The fields of a pipeline in one order: records as tuples, their keys, and what their fields amount to under the rules.

A page of records is worked on column by column. Rules under which the sides differ as a rule (`EAGER`) are applied before
records are compared by their bytes; the others only to fields of records whose bytes differ.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress, count
from operator import itemgetter, ne
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ossature.services.sync.domain.canonical import (
    EAGER,
    KEY_JOINT,
    Canon,
    canonicaliser,
    encode,
    exact,
    key_of,
    key_part,
)

if TYPE_CHECKING:
    from ossature.services.sync.domain.config import Pipeline

Record = tuple[Any, ...]

_REMEMBERED = 65_536
_FEW = (None, False, True)
_TEXT = frozenset({str, type(None)})
_PLAIN, _NUMBERED = _TEXT | {bool}, _TEXT | {int}
"""Types that may stand together: equal values of them are one value under every rule. `1` and `True` may not."""
_SHORT_HEAD = 15
_decode = msgspec.msgpack.Decoder(type=tuple[Any, ...]).decode


class Rules(Protocol):
    """How one field is compared: rules that are applied one after the other, and what was said to them."""

    @property
    def rules(self) -> Sequence[str]:
        """Names out of `canonical.RULES`."""

    @property
    def options(self) -> Mapping[str, Any]:
        """As `canonical.OPTIONS` has them."""


class _Memo(dict[Any, Any]):
    """What a rule makes of a value, remembered for as many texts as are likely to come again."""

    def __init__(self, canon: Canon) -> None:
        super().__init__({value: canon(value) for value in _FEW})
        self.canon = canon
        self._of_few = dict(self)

    def __missing__(self, text: str) -> Any:  # noqa: ANN401 - a canonical value
        if len(self) >= _REMEMBERED:
            self.clear()
            self.update(self._of_few)
        value = self[text] = self.canon(text)
        return value

    def column(self, values: list[Any]) -> list[Any] | None:
        """What the rule makes of each value of a column; None when all of them are that already."""
        kinds = set(map(type, values))
        if kinds <= _PLAIN:
            made = list(map(self.__getitem__, values))
            # Equal values of two types, such as 1 and True, are two values.
            return None if made == values and kinds.issuperset(map(type, made)) else made
        made = [self[value] if value.__class__ is str else self.canon(value) for value in values]
        return None if made == values and list(map(type, made)) == list(map(type, values)) else made


class Layout:
    """The fields of a pipeline in one order, with their rules and the place of the key."""

    def __init__(self, fields: Sequence[str], key: Sequence[str], compare: Mapping[str, Rules]) -> None:
        self.fields = tuple(fields)
        self.key = tuple(key)
        self.canons: tuple[Canon, ...] = tuple(
            canonicaliser(compare[name].rules, compare[name].options) if name in compare else exact for name in fields
        )
        self._eager = {
            place: _Memo(self.canons[place])
            for place, name in enumerate(fields)
            if name in compare and not EAGER.isdisjoint(compare[name].rules)
        }
        self._ruled = {
            place: self._eager.get(place) or _Memo(self.canons[place])
            for place, name in enumerate(fields)
            if name in compare
        }
        # What is left of the rules once the eager ones are applied.
        self._late = {place: memo for place, memo in self._ruled.items() if place not in self._eager}
        self._key = [self.fields.index(name) for name in key]
        self._fold = [name in compare and "ci" in compare[name].rules for name in key]
        # A packed record is longer than one that is looked for, by the words that were said in eager fields.
        self._head = _head_bytes(len(self.fields))
        self._packed_head = _head_bytes(len(self.fields) + len(self._eager))
        # One field alone would come out of an itemgetter bare.
        self._all = itemgetter(*fields) if len(fields) > 1 else None

    @classmethod
    def of(cls, pipeline: "Pipeline") -> "Layout":
        """The layout of a pipeline: the fields in the order of its map."""
        return cls(list(pipeline.map), pipeline.key, pipeline.compare)

    def record(self, values: Mapping[str, Any]) -> Record:
        """A record in this order; what is not given is None."""
        return tuple([values.get(name) for name in self.fields])

    def records(self, rows: Sequence[Mapping[str, Any]]) -> list[Record]:
        """A page of records in this order; what is not given is None."""
        if self._all is not None:
            try:
                return list(map(self._all, rows))
            except KeyError:  # some field is not given
                pass
        return [self.record(values) for values in rows]

    def values(self, record: Record) -> dict[str, Any]:
        """The fields of a record by name."""
        return dict(zip(self.fields, record, strict=True))

    def key_of(self, record: Record) -> str | None:
        """The canonical key of a record, or None when a part of it is missing."""
        return key_of([record[place] for place in self._key], fold=self._fold)

    def keys_of(self, records: Sequence[Record]) -> list[str | None]:
        """As `key_of`, for a page of records."""
        parts = [
            _folded_parts([record[place] for record in records])
            if folds
            else _plain_parts([record[place] for record in records])
            for place, folds in zip(self._key, self._fold, strict=True)
        ]
        if len(parts) == 1:
            return parts[0]
        return [None if None in each else KEY_JOINT.join(each) for each in zip(*parts, strict=True)]

    def packed(self, records: Sequence[Record]) -> Iterator[bytes]:
        """Each record as bytes: in its eager form, then what was said in the eager fields.

        Plans and undo want the target's own words.
        """
        if not self._eager or not records:
            return map(encode, records)
        columns: list[Sequence[Any]] = list(zip(*records, strict=True))
        words = [columns[place] for place in self._eager]
        for place, made in _changed(records, self._eager):
            columns[place] = made
        return map(encode, zip(*columns, *words, strict=True))

    def are(self, packed: Sequence[bytes], records: Sequence[Record]) -> list[bool]:
        """Which packed records have the eager form of the records at their places; nothing packed is like no record."""
        if not self._eager:
            return list(map(bytes.__eq__, packed, map(encode, records)))
        head, begin = self._head, self._packed_head
        # One value is no beginning of another: it says its own length.
        return [
            one.startswith(looked_for[head:], begin)
            for one, looked_for in zip(packed, map(encode, self._with(records, self._eager)), strict=True)
        ]

    def unpacked(self, packed: bytes) -> Record:
        """A record in the words in which it was packed."""
        parts = list(_decode(packed))
        record, words = parts[: len(self.fields)], parts[len(self.fields) :]
        for place, value in zip(self._eager, words, strict=True):
            record[place] = value
        return tuple(record)

    def settled(self, records: Sequence[Record]) -> Iterator[bytes]:
        """Each record as bytes, with every field that has rules in its canonical form."""
        return map(encode, self._with(records, self._ruled))

    def canonical(self, record: Record) -> Record:
        """The record with every field in its canonical form."""
        return tuple([canon(value) for canon, value in zip(self.canons, record, strict=True)])

    def differing(self, one: Record, other: Record) -> tuple[str, ...]:
        """The names of the fields that are not equal under their rules."""
        return self._differing([one], [other], self._ruled)[0]

    def differing_packed(self, records: Sequence[Record], packed: Sequence[bytes]) -> list[tuple[str, ...]]:
        """As `differing`, of each record and what is packed at its place."""
        return self._differing(self._with(records, self._eager), list(map(_decode, packed)), self._late)

    def _with(self, records: Sequence[Record], memos: Mapping[int, _Memo]) -> Sequence[Record]:
        """The records with some fields in canonical form."""
        changed = dict(_changed(records, memos))
        if not changed:
            return records
        columns: list[Sequence[Any]] = list(zip(*records, strict=True))
        for place, made in changed.items():
            columns[place] = made
        return list(zip(*columns, strict=True))

    def _differing(
        self, ones: Sequence[Record], others: Sequence[Record], memos: Mapping[int, _Memo]
    ) -> list[tuple[str, ...]]:
        """For each pair of records the fields in which they differ: the one comparison of this service."""
        found: list[list[str]] = [[] for _ in ones]
        # The others may have words behind their fields.
        columns = zip(self.fields, zip(*ones, strict=True), zip(*others, strict=True), strict=False)
        for place, (name, left, right) in enumerate(columns):
            for row in _differing_rows(left, right, memos.get(place)):
                found[row].append(name)
        return list(map(tuple, found))


def _changed(records: Sequence[Record], memos: Mapping[int, _Memo]) -> Iterator[tuple[int, list[Any]]]:
    """The places and columns of those fields that are not in canonical form already."""
    for place, memo in memos.items():
        made = memo.column([record[place] for record in records])
        if made is not None:
            yield place, made


def _differing_rows(left: tuple[Any, ...], right: tuple[Any, ...], memo: _Memo | None) -> Iterator[int]:
    """The rows in which two columns differ under a rule; None is the rule `exact`."""
    kinds = set(map(type, left))
    # A text equals nothing but a text; True equals 1, and a list may hold it.
    if not kinds <= _TEXT:
        kinds.update(map(type, right))
    plain = kinds <= _PLAIN or kinds <= _NUMBERED
    if plain and left == right:
        return iter(())
    rows: Iterator[int] = compress(count(), map(ne, left, right)) if plain else iter(range(len(left)))
    if plain and memo is None:
        return rows
    canon = exact if memo is None else memo.__getitem__ if _PLAIN.issuperset(map(type, left + right)) else memo.canon
    return (row for row in rows if not _same(canon(left[row]), canon(right[row])))


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - canonical values
    if one.__class__ in _PLAIN and other.__class__ in _PLAIN:
        return bool(one == other)
    return encode(one) == encode(other)


def _head_bytes(length: int) -> int:
    """How many bytes a list of this length begins with in MessagePack. Source: the format's specification, "array"."""
    return 1 if length <= _SHORT_HEAD else 3


def _folded_parts(column: Sequence[Any]) -> list[str | None]:
    """A column of a key in one case. Text that is ASCII and printable, as nearly all is, needs no composing."""
    return [
        (value.strip().lower() or None)
        if value.__class__ is str and value.isascii() and value.isprintable()
        else key_part(value, folds=True)
        for value in column
    ]


def _plain_parts(column: Sequence[Any]) -> list[str | None]:
    return [
        (value.strip() or None)
        if value.__class__ is str and value.isascii() and value.isprintable()
        else key_part(value, folds=False)
        for value in column
    ]
