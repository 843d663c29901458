"""Lists: filters, stable order and pages of a query, declared once by the store that owns the table.

    JOBS = Listable(
        key=JobRow.id,
        filters={"state": JobRow.state, "created_at": JobRow.created_at},
        sorts={"created_at": JobRow.created_at},
        default="-created_at",
    )

    async def list_jobs(db: Db, tenant_id: UUID, query: ListQuery) -> Found[JobView]:
        return await JOBS.fetch(db, select(JobRow).where(JobRow.tenant_id == tenant_id), query, _view)

`kernel.http.listing` makes the `ListQuery` out of a request. Pages follow the last row that was seen (keyset), so a row
that is inserted meanwhile neither repeats nor hides another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Row, Select, TypeDecorator, and_, func, literal, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from ossature.kernel.db.transaction import Db

T = TypeVar("T")
U = TypeVar("U")
Column = InstrumentedAttribute[Any] | ColumnElement[Any]

_KEY = "_key"
_ORDERED = ("eq", "ne", "in", "gt", "gte", "lt", "lte")
_EXACT = ("eq", "ne", "in")


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition: `state` `eq` `running`. value: of the column's type; a tuple of such for `in`."""

    name: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Order:
    """One column of the order."""

    name: str
    descending: bool = False

    def __str__(self) -> str:
        return f"-{self.name}" if self.descending else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """What a caller wants of a list.

    after: sort values and key of the last row that was seen, as `Found.next` gave them. page: counts from 1; an
    alternative to `after`. sort: empty for the list's own order. fields: parts of an item to send; empty for all.
    """

    limit: int = 50
    filters: tuple[Filter, ...] = ()
    sort: tuple[Order, ...] = ()
    after: tuple[Any, ...] | None = None
    page: int | None = None
    with_total: bool = False
    fields: tuple[str, ...] = ()

    def value_of(self, name: str, operator: str = "eq") -> Any:  # noqa: ANN401 - of the column's type
        """The value of a filter, or None if it was not given: for stores that treat one in a way of their own."""
        return next((f.value for f in self.filters if f.name == name and f.operator == operator), None)


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """One page. next: what to pass as `ListQuery.after` for the following one, None at the end."""

    items: tuple[T, ...]
    next: tuple[Any, ...] | None = None
    total: int | None = None

    def map(self, make: Callable[[T], U]) -> "Found[U]":
        """The same page with another form of its items."""
        return Found(tuple(make(one) for one in self.items), self.next, self.total)


class Listable:
    """What may be filtered and sorted in a list, by public name. Every column of `sorts` is unique with `key`.

    key: a unique column that breaks ties. default: the order when none is asked for, such as `-created_at`.
    Raises: ValueError for a nullable sort column, whose rows would fall out of a keyset.
    """

    def __init__(
        self,
        *,
        key: Column,
        filters: Mapping[str, Column] | None = None,
        sorts: Mapping[str, Column] | None = None,
        default: str = "",
        limit_max: int = 200,
    ) -> None:
        self.filters = dict(filters or {})
        self.sorts = dict(sorts or {})
        self.limit_max = limit_max
        self._key = key
        for name, column in self.sorts.items():
            if getattr(column, "nullable", False):
                msg = f"{name} may be null; a list is sorted by columns that always have a value"
                raise ValueError(msg)
        self.default = tuple(parse_order(part) for part in default.split(",") if part)
        unknown = [order.name for order in self.default if order.name not in self.sorts]
        if unknown:
            msg = f"the default order names {unknown}, which is not among the sorts"
            raise ValueError(msg)

    def operators(self, name: str) -> tuple[str, ...]:
        """The operators of a filter, by its column's type."""
        kind = self.type_of(name)
        if kind is bool:
            return ("eq",)
        return _EXACT if kind is str else _ORDERED

    def type_of(self, name: str) -> type:
        """The Python type of a filter, a sort or (empty name) the key."""
        column = self.filters.get(name, self.sorts.get(name, self._key)) if name else self._key
        return _python_type(column)

    def cursor_types(self, sort: Sequence[Order]) -> tuple[type, ...]:
        """The types of the values in `Found.next` under this order."""
        return (*(_python_type(self.sorts[order.name]) for order in sort or self.default), self.type_of(""))

    async def fetch(self, db: Db, statement: Select[Any], query: ListQuery, make: Callable[[Row[Any]], T]) -> Found[T]:
        """One page of a statement, which already names the tenant; each row turned into a value by `make`.

        The columns of the order are added to the end of the row; `make` reads its own by name.
        """
        for condition in query.filters:
            statement = statement.where(_condition(self.filters[condition.name], condition))
        total = None
        if query.with_total:
            total = await db.scalar(select(func.count()).select_from(statement.order_by(None).subquery()))
        order = query.sort or self.default
        columns = [self.sorts[part.name] for part in order]
        # The key follows the direction of the last column: then one index serves both ways.
        directions = [*(part.descending for part in order), order[-1].descending if order else False]
        keys: list[Any] = [*columns, self._key]
        if query.after is not None:
            statement = statement.where(_beyond(keys, directions, query.after))
        extra = [column.label(f"{_KEY}{place}") for place, column in enumerate(keys)]
        statement = statement.add_columns(*extra).order_by(
            *(key.desc() if down else key.asc() for key, down in zip(keys, directions, strict=True))
        )
        statement = statement.limit(query.limit + 1)
        if query.page is not None:
            statement = statement.offset((query.page - 1) * query.limit)
        rows = await db.all(statement)
        items = tuple(make(row) for row in rows[: query.limit])
        last = rows[query.limit - 1] if len(rows) > query.limit else None
        position = tuple(last._mapping[f"{_KEY}{place}"] for place in range(len(keys))) if last is not None else None  # noqa: SLF001 - SQLAlchemy's public name for it
        return Found(items, position, total)


def parse_order(text: str) -> Order:
    """`-date` is date, descending."""
    return Order(text.removeprefix("-"), text.startswith("-"))


def _python_type(column: Column) -> type:
    kind = column.type
    return kind.impl_instance.python_type if isinstance(kind, TypeDecorator) else kind.python_type


def _condition(column: Any, wanted: Filter) -> ColumnElement[bool]:  # noqa: ANN401 - a column of any kind
    conditions: dict[str, Callable[[], ColumnElement[bool]]] = {
        "eq": lambda: column == wanted.value,
        "ne": lambda: column != wanted.value,
        "in": lambda: column.in_(wanted.value),
        "gt": lambda: column > wanted.value,
        "gte": lambda: column >= wanted.value,
        "lt": lambda: column < wanted.value,
        "lte": lambda: column <= wanted.value,
    }
    return conditions[wanted.operator]()


def _beyond(keys: Sequence[Any], descending: Sequence[bool], values: Sequence[Any]) -> ColumnElement[bool]:
    """The rows that come after a position: a row comparison where all directions agree, since an index serves that."""
    if len(set(descending)) == 1:
        left = tuple_(*keys)
        right = tuple_(*(literal(value, key.type) for key, value in zip(keys, values, strict=True)))
        return left < right if descending[0] else left > right
    alternatives = []
    for place, (key, down, value) in enumerate(zip(keys, descending, values, strict=True)):
        same = [earlier == before for earlier, before in zip(keys[:place], values[:place], strict=True)]
        alternatives.append(and_(*same, key < value if down else key > value))
    return or_(*alternatives)
