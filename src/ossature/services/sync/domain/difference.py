"""What differs between the records that should be and those that are: one comparison for every pipeline.

The target is packed, key by key, into bytes; the source streams past and is compared by bytes. When that takes more memory
than it may, the records go to a file, and what is left in memory of each is a digest of what it amounts to.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import compress, count, islice, repeat
from operator import not_
from typing import Literal, Protocol

import msgspec

from ossature.services.sync.domain.canonical import encode
from ossature.services.sync.domain.layout import Layout, Record

Kind = Literal["new", "changed", "gone"]

_ROW_BYTES = 190
"""What a record takes beside its bytes: those of its key, and its place in a dictionary."""
_DIGEST_BYTES = 16
_PAGE = 1_000
_decode = msgspec.msgpack.Decoder(type=Record).decode


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that is not as it should be. fields: the names of those that differ, for `changed`."""

    kind: Kind
    key: str
    desired: Record | None
    actual: Record | None
    fields: tuple[str, ...] = ()


class Spill(Protocol):
    """Where records go that memory has no room for."""

    def put(self, rows: Sequence[bytes]) -> Sequence[bytes]:
        """Keep rows; the name of each, none empty. Raises: SpillFailed."""

    def get(self, name: bytes) -> bytes:
        """A row again. Raises: SpillFailed."""


class _Packed:
    """Records in memory, whole."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def kept(self, records: Sequence[Record]) -> Iterable[bytes]:
        """What is kept of each record."""
        return self._layout.packed(records)

    def are(self, kept: Sequence[bytes], records: Sequence[Record]) -> list[bool]:
        """Which of the kept are like the records at their places; those that are not may still be equal."""
        return self._layout.are(kept, records)

    def differing(self, records: Sequence[Record], kept: Sequence[bytes]) -> list[tuple[str, ...]]:
        """The names of the fields in which they differ, for each."""
        return self._layout.differing_packed(records, kept)

    def opened(self, kept: bytes) -> Record:
        """A record, as the target said it."""
        return self._layout.unpacked(kept)


class _Spilled:
    """Records in a file; a digest of each in memory, and where it lies. The digest is of what it amounts to."""

    def __init__(self, layout: Layout, spill: Spill) -> None:
        self._layout = layout
        self._spill = spill

    def kept(self, records: Sequence[Record]) -> Iterable[bytes]:
        """As `_Packed`."""
        return map(bytes.__add__, self._digests(records), self._spill.put(list(map(encode, records))))

    def are(self, kept: Sequence[bytes], records: Sequence[Record]) -> list[bool]:
        """As `_Packed`."""
        return list(map(bytes.startswith, kept, self._digests(records)))

    def differing(self, records: Sequence[Record], kept: Sequence[bytes]) -> list[tuple[str, ...]]:
        """As `_Packed`."""
        return [self._layout.differing(record, self.opened(one)) for record, one in zip(records, kept, strict=True)]

    def opened(self, kept: bytes) -> Record:
        """As `_Packed`."""
        return _decode(self._spill.get(kept[_DIGEST_BYTES:]))

    def _digests(self, records: Sequence[Record]) -> list[bytes]:
        return [blake2b(row, digest_size=_DIGEST_BYTES).digest() for row in self._layout.settled(records)]


@dataclass(slots=True)
class Index:
    """The target's records by key. duplicates: keys that more than one record has. keyless_n: records without one.

    limit_bytes: above it records go to what `spill` opens. spilled: whether they have.
    """

    layout: Layout
    limit_bytes: int | None = None
    spill: Callable[[], Spill] | None = None
    duplicates: set[str] = field(default_factory=set)
    keyless_n: int = 0
    rows_n: int = 0
    spilled: bool = False
    _kept: dict[str | None, bytes] = field(default_factory=dict)
    _bytes: int = 0
    _how: _Packed | _Spilled = field(init=False)

    def __post_init__(self) -> None:
        self._how = _Packed(self.layout)

    def add(self, page: Iterable[Record]) -> None:
        """Take records of the target in. Raises: SpillFailed."""
        records = list(page)
        keys = self.layout.keys_of(records)
        self.rows_n += len(records)
        if not self._kept.keys().isdisjoint(keys) or len(set(keys)) != len(keys):
            self._note_twins(keys)
        rows = list(self._how.kept(records))
        self._kept.update(zip(keys, rows, strict=True))
        if self._kept.pop(None, None) is not None:
            self.keyless_n += keys.count(None)
        self._bytes += sum(map(len, rows)) + _ROW_BYTES * len(rows)
        if not self.spilled and self.spill is not None and self._bytes > (self.limit_bytes or self._bytes):
            self._spill_out(self.spill())

    def compare(self, keys: Sequence[str], records: Sequence[Record]) -> tuple[Sequence[str], list[Difference]]:
        """The keys of records that are as they should be, and what differs, both in the order of the source.

        No key comes twice. What was compared is forgotten; `rest()` gives what nobody named. Raises: SpillFailed.
        """
        nothing: repeat[bytes] = repeat(b"")
        kept = list(map(self._kept.pop, keys, nothing))
        same = self._how.are(kept, records)
        if all(same):
            return keys, []
        doubtful = [place for place, is_same in enumerate(same) if not is_same and kept[place]]
        fields = self._how.differing([records[place] for place in doubtful], [kept[place] for place in doubtful])
        differing = {place: names for place, names in zip(doubtful, fields, strict=True) if names}
        for place in doubtful:  # what is only written differently is as it should be
            same[place] = place not in differing
        differences = [
            Difference("changed", keys[place], records[place], self._how.opened(kept[place]), differing[place])
            if kept[place]
            else Difference("new", keys[place], records[place], None)
            for place in compress(count(), map(not_, same))
        ]
        return list(compress(keys, same)), differences

    def rest(self) -> Iterator[Difference]:
        """The records that the source has no more, by key. Raises: SpillFailed."""
        for key in sorted(key for key in self._kept if key is not None):
            yield Difference("gone", key, None, self._how.opened(self._kept[key]))

    def _spill_out(self, spill: Spill) -> None:
        """Have the file take what memory held, a page at a time."""
        how = _Spilled(self.layout, spill)
        keys = iter(list(self._kept))
        while page := list(islice(keys, _PAGE)):
            rows = how.kept([self._how.opened(self._kept[key]) for key in page])
            self._kept.update(zip(page, rows, strict=True))
        self._how, self.spilled = how, True

    def _note_twins(self, keys: Sequence[str | None]) -> None:
        seen: set[str | None] = {None}
        for key in keys:
            if key is not None and (key in seen or key in self._kept):
                self.duplicates.add(key)
            seen.add(key)
