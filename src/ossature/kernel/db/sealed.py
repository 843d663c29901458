"""Columns that only this installation reads: each value is sealed for its table, its column and its row.

A store seals and opens by hand, since the row has to be known:

    SECRET = SealedText(EndpointRow.secret, row=EndpointRow.id)
    insert(EndpointRow).values(id=id, secret=SECRET.seal(db.ring, id, secret))
    SECRET.open(db.ring, row.id, row.secret)

`Service.sealed` names such columns, so that re-encryption finds them when the ring has turned. To find rows by a sealed
value, give `index=`, a column of bytes that holds `blind(...)`, and ask for `SECRET.is_about(ring, value)`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Column, ColumnElement, LargeBinary, Table, Text, func, select, update
from sqlalchemy.orm import InstrumentedAttribute

from ossature.kernel.crypto.ring import VALUE, CannotOpen, Key, KeyRing, head_of, of_text, to_text
from ossature.kernel.db.transaction import Db

_T = TypeVar("_T", str, bytes)

Earlier = Callable[[bytes, UUID, _T], str | None]
"""How a value was kept before it was sealed like this: secret of the installation, row, what is stored -> the value, or
None for what is not of that form."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """What one batch of re-encryption did. last: the last row that it looked at, None when none was left."""

    last: UUID | None
    done: int
    broken: Sequence[UUID]


class Sealed(ABC, Generic[_T]):
    """A column of sealed values. row: the column that is the row's only key. index: the column of the blind index."""

    def __init__(
        self,
        column: InstrumentedAttribute[Any],
        *,
        row: InstrumentedAttribute[UUID],
        index: InstrumentedAttribute[Any] | None = None,
        earlier: Earlier[_T] | None = None,
    ) -> None:
        # What a class of rows declares is known once all classes are; the columns of its table are there at once.
        self._column: Column[Any] = column.property.columns[0]
        self._row: Column[Any] = row.property.columns[0]
        self._index: Column[Any] | None = None if index is None else index.property.columns[0]
        self._earlier: Earlier[_T] | None = earlier

    @property
    def name(self) -> str:
        """`table/column`."""
        return f"{self._table.name}/{self._column.name}"

    def seal(self, ring: KeyRing, row: UUID, value: str) -> _T:
        """What is stored of a value."""
        return self._stored(ring.seal(value.encode(), about=self._about(row)))

    def open(self, ring: KeyRing, row: UUID, stored: _T, *, secret: bytes = b"") -> str:
        """The value again. secret: of the installation, where values were sealed with it before.

        Raises: CannotOpen when it was altered, belongs to another row, or its key is not on the ring.
        """
        if self._earlier is not None and not stored.startswith(self._mark):
            before = self._earlier(secret, row, stored)
            if before is not None:
                return before
        return ring.open(self._sealed(stored), about=self._about(row)).decode()

    def blind(self, ring: KeyRing, value: str) -> bytes:
        """What is stored in the blind index of a value."""
        return ring.blind(value.encode(), about=self.name)

    def is_about(self, ring: KeyRing, value: str) -> ColumnElement[bool]:
        """The condition that a row holds this value, whichever key of the ring it was sealed with."""
        if self._index is None:
            raise TypeError(f"{self.name} has no blind index")
        return self._index.in_(ring.blinds(value.encode(), about=self.name))

    async def count(self, db: Db, *, key: Key | None = None) -> int:
        """How many values there are; with a key, how many of them it sealed. `db`: a view across tenants."""
        statement = select(func.count()).select_from(self._table).where(func.length(self._column) > 0)
        if key is not None:
            statement = statement.where(self._head(key) == self._stored(head_of(key)))
        return int(await db.scalar(statement))

    async def reseal(self, db: Db, *, after: UUID | None, limit: int, secret: bytes) -> Resealed:
        """Seal the next values anew with the active key, in the order of their rows. `db`: a view across tenants.

        What somebody else writes meanwhile stays as they wrote it. What cannot be opened is left as it is and named.
        """
        ring = db.ring
        statement = select(self._row, self._column).where(self._stale(ring.active)).order_by(self._row).limit(limit)
        if after is not None:
            statement = statement.where(self._row > after)
        done, broken = 0, list[UUID]()
        rows = await db.all(statement)
        for row in rows:
            row_id, stored = row[0], row[1]
            try:
                value = self.open(ring, row_id, stored, secret=secret)
            except CannotOpen:
                broken.append(row_id)
                continue
            anew: dict[str, Any] = {self._column.name: self.seal(ring, row_id, value)}
            if self._index is not None:
                anew[self._index.name] = self.blind(ring, value)
            same = update(self._table).where(self._row == row_id, self._column == stored)
            done += await db.execute(same.values(**anew))
        return Resealed(rows[-1][0] if rows else None, done, broken)

    @property
    def _table(self) -> Table:
        return self._column.table

    def _about(self, row: UUID) -> str:
        return f"{self.name}/{row}"

    def _stale(self, active: Key) -> ColumnElement[bool]:
        return (self._head(active) != self._stored(head_of(active))) & (func.length(self._column) > 0)

    def _head(self, key: Key) -> ColumnElement[Any]:
        """As much of what is stored as names its key."""
        return func.substr(self._column, 1, len(self._stored(head_of(key))), type_=self._type())

    @property
    @abstractmethod
    def _mark(self) -> _T:
        """How every sealed value begins."""

    @abstractmethod
    def _type(self) -> Any:  # noqa: ANN401 - a type of SQLAlchemy
        """The type of the column."""

    @abstractmethod
    def _stored(self, sealed: bytes) -> _T:
        """A sealed value as the column has it."""

    @abstractmethod
    def _sealed(self, stored: _T) -> bytes:
        """And back. Raises: NotSealed."""


class SealedText(Sealed[str]):
    """A sealed column of text: base64 that begins with `osk1`."""

    _mark = to_text(VALUE)

    def _type(self) -> Text:
        return Text()

    def _stored(self, sealed: bytes) -> str:
        return to_text(sealed)

    def _sealed(self, stored: str) -> bytes:
        return of_text(stored)


class SealedBytes(Sealed[bytes]):
    """A sealed column of bytes."""

    _mark = VALUE

    def _type(self) -> LargeBinary:
        return LargeBinary()

    def _stored(self, sealed: bytes) -> bytes:
        return sealed

    def _sealed(self, stored: bytes) -> bytes:
        return stored
