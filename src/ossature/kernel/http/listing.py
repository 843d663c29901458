"""Lists on the wire: `{items, next}`, cursors and pages, filters, order and a choice of fields.

    @router.get("")
    @policy(allow="read:jobs")
    async def list_jobs(ctx: CurrentCtx, query: Annotated[Asked, listing(store.JOBS, JobOut)]) -> Listing[JobOut]:
        return answer(await store.list_jobs(ctx.db, ctx.tenant.id, query), JobOut, query)

What may be filtered and sorted is said once, by the store's `Listable`; the documentation follows from it.
"""

import base64
import hashlib
import hmac
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar, cast, get_args
from uuid import UUID

import orjson
from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.datastructures import QueryParams
from starlette.responses import Response

from ossature.kernel.db.listing import Filter, Found, Listable, ListQuery, Order, parse_order
from ossature.kernel.errors import FieldError, InvalidInput

T = TypeVar("T")

LIMIT_DEFAULT = 50
OFFSET_MAX = 100_000
_TEXT_MAX = 200
_IN_MAX = 100
_SEVERAL_MAX = 4000
_INT_MOST = 2**63
_FLOAT_MOST = sys.float_info.max
_LENGTHS = {"cursor": 4000, "fields": 2000, "sort": 500}
_PAGING = ("limit", "cursor", "page", "total", "fields", "sort", "order")
_SIGNATURE_BYTES = 12
_JSON_TYPES: Mapping[type, Mapping[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": -_INT_MOST, "maximum": _INT_MOST - 1},
    float: {"type": "number", "minimum": -_FLOAT_MOST, "maximum": _FLOAT_MOST},
    Decimal: {"type": "string", "format": "decimal", "maxLength": _TEXT_MAX},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    UUID: {"type": "string", "format": "uuid"},
}


class Listing(BaseModel, Generic[T]):
    """One page of a list. next: pass it as `cursor` for the following page; null at the end. total: if asked for."""

    model_config = ConfigDict(frozen=True)

    items: list[T]
    next: str | None
    total: int | None = Field(default=None, exclude_if=lambda value: value is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(ListQuery):
    """A `ListQuery` that came with a request. seal: turns `Found.next` into the cursor of this very query."""

    seal: Callable[[Sequence[Any]], str]


class Cursors:
    """Makes cursors that nobody can forge or use on another list."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.blake2b(secret, person=b"ossature.cursor").digest()

    def encode(self, position: Sequence[Any], about: str) -> str:
        """A cursor for a position (`Found.next`) in the list that `about` describes."""
        # orjson writes no subclass of UUID, and asyncpg's ids are of one.
        body = orjson.dumps([str(v) if isinstance(v, (Decimal, UUID)) else v for v in position])
        return base64.urlsafe_b64encode(self._sign(body, about) + body).rstrip(b"=").decode()

    def decode(self, cursor: str, about: str, types: Sequence[type]) -> tuple[Any, ...]:
        """The position. Raises: InvalidInput for a cursor that is not ours or belongs to another query."""
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
            if hmac.compare_digest(signature, self._sign(body, about)):
                values = orjson.loads(body)
                return tuple(TypeAdapter(kind).validate_python(v) for kind, v in zip(types, values, strict=True))
        except ValueError:  # also binascii.Error, JSONDecodeError and ValidationError
            pass
        raise _refusal("cursor", "This cursor was not made for this list, filter and order.", "cursor")

    def _sign(self, body: bytes, about: str) -> bytes:
        return hmac.digest(self._secret, about.encode() + b"\0" + body, "sha256")[:_SIGNATURE_BYTES]


class Reader:
    """Reads a `ListQuery` out of a request's query. `query_names` are the parameters that it knows."""

    def __init__(self, listable: Listable, shape: type[BaseModel]) -> None:
        self._listable = listable
        self._fields = tuple(_paths(shape))
        self._filters = {
            (name if operator == "eq" else f"{name}__{operator}"): (name, operator)
            for name in listable.filters
            for operator in listable.operators(name)
        }
        self._parsers: dict[str, TypeAdapter[Any]] = {
            name: TypeAdapter(listable.type_of(name)) for name in listable.filters
        }
        self.query_names = frozenset((*_PAGING, *self._filters))

    async def __call__(self, request: Request) -> Asked:
        """As `read`, for FastAPI, which would run a plain function in a thread."""
        return self.read(request)

    def read(self, request: Request) -> Asked:
        """The query. Raises: InvalidInput with every fault, naming what is allowed."""
        given = QueryParams(request.scope["query_string"])
        faults = [
            FieldError(f"query/{name}", f"Give at most {most} characters.", "too_long")
            for name, most in _LENGTHS.items()
            if len(given.get(name, "")) > most
        ]
        limit = _number(given, "limit", LIMIT_DEFAULT, most=self._listable.limit_max, faults=faults)
        page = _number(given, "page", 1, most=OFFSET_MAX // max(limit, 1), faults=faults) if "page" in given else None
        if page is not None and "cursor" in given:
            faults.append(FieldError("query/page", "Give either page or cursor.", "exclusive"))
        sort = self._sort(given, faults)
        filters = self._conditions(given, faults)
        fields = tuple(part for part in given.get("fields", "").split(",") if part)
        faults += [_unknown("fields", name, self._fields) for name in fields if name not in self._fields]
        if given.get("total", "false") not in ("true", "false"):
            faults.append(FieldError("query/total", "Write true or false.", "bool_parsing"))
        if faults:
            raise InvalidInput(errors=faults)
        about = _describe(request.scope, sort, filters)
        cursors = cast("Cursors", request.app.state.cursors)
        after = None
        if "cursor" in given:
            after = cursors.decode(given["cursor"], about, self._listable.cursor_types(sort))
        return Asked(
            limit=limit,
            filters=filters,
            sort=sort,
            after=after,
            page=page,
            with_total=given.get("total") == "true",
            fields=fields,
            seal=lambda position: cursors.encode(position, about),
        )

    def _sort(self, given: QueryParams, faults: list[FieldError]) -> tuple[Order, ...]:
        """`sort=a,-b`, or `sort=a&order=desc`."""
        orders = [parse_order(part.strip()) for part in given.get("sort", "").split(",") if part.strip()]
        direction = given.get("order")
        if direction not in (None, "asc", "desc"):
            faults.append(FieldError("query/order", "Write asc or desc.", "enum"))
        if direction == "desc":
            orders = [Order(order.name, not order.descending) for order in orders or self._listable.default]
        allowed = self._listable.sorts
        faults += [_unknown("sort", order.name, allowed) for order in orders if order.name not in allowed]
        return tuple(orders)

    def _conditions(self, given: QueryParams, faults: list[FieldError]) -> tuple[Filter, ...]:
        found = []
        for parameter, text in given.multi_items():
            if parameter not in self._filters:
                continue  # an unknown name is refused by the route, which knows all of its parameters
            name, operator = self._filters[parameter]
            texts = text.split(",") if operator == "in" else [text]
            try:
                if len(text) > (_SEVERAL_MAX if operator == "in" else _TEXT_MAX) or len(texts) > _IN_MAX:
                    faults.append(FieldError(f"query/{parameter}", "This is too long.", "too_long"))
                    continue
                values = tuple(self._value(name, one) for one in texts)
            except ValidationError as error:
                first = error.errors()[0]
                faults.append(FieldError(f"query/{parameter}", first["msg"], first["type"]))
                continue
            except ValueError as error:
                faults.append(FieldError(f"query/{parameter}", str(error), "value_error"))
                continue
            found.append(Filter(name, operator, values if operator == "in" else values[0]))
        return tuple(found)

    def _value(self, name: str, text: str) -> Any:  # noqa: ANN401 - of the column's type
        value = self._parsers[name].validate_python(unicodedata.normalize("NFC", text))
        if isinstance(value, str) and not value.isprintable():
            msg = "Control characters are not allowed."
            raise ValueError(msg)
        if isinstance(value, datetime) and value.tzinfo is None:
            msg = "Give the zone, such as 2026-03-01T08:00:00Z."
            raise ValueError(msg)
        if not _is_storable(value):
            msg = "This is beyond what is stored here."
            raise ValueError(msg)
        return value

    def parameters(self) -> list[dict[str, Any]]:
        """The OpenAPI parameters of such a list."""
        sorts = ", ".join(sorted(self._listable.sorts)) or "none"
        described: list[tuple[str, str, Mapping[str, Any]]] = [
            (
                "limit",
                "Items per page.",
                {"type": "integer", "minimum": 1, "maximum": self._listable.limit_max, "default": LIMIT_DEFAULT},
            ),
            ("cursor", "`next` of the page before.", _text("cursor")),
            (
                "page",
                "Page number, an alternative to `cursor`.",
                {"type": "integer", "minimum": 1, "maximum": OFFSET_MAX},
            ),
            ("total", "Also count all items.", {"type": "boolean", "default": False}),
            ("fields", "Parts of an item to send, such as `a,b.c`.", _text("fields")),
            ("sort", f"Order: {sorts}; `-name` descends.", _text("sort")),
            ("order", "Direction of `sort`.", {"type": "string", "enum": ["asc", "desc"]}),
        ]
        for parameter, (name, operator) in self._filters.items():
            kind: Mapping[str, Any] = _JSON_TYPES.get(self._listable.type_of(name), _text(parameter))
            if operator == "in":
                several = {"type": "string", "maxLength": _SEVERAL_MAX}
                described.append((parameter, f"`{name}` is one of these, separated by commas.", several))
            else:
                described.append((parameter, f"`{name}` {operator} this.", kind))
        return [
            {"name": name, "in": "query", "required": False, "description": text, "schema": dict(schema)}
            for name, text, schema in described
        ]


def _is_storable(value: object) -> bool:
    """Whether a value fits a column of its type: whole numbers have 64 bits, instants the years 1 to 9999 in UTC."""
    if isinstance(value, datetime):
        try:
            value.astimezone(UTC)
        except OverflowError:
            return False
    return not isinstance(value, int) or -_INT_MOST <= value < _INT_MOST


def _text(parameter: str) -> Mapping[str, Any]:
    return {"type": "string", "maxLength": _LENGTHS.get(parameter, _TEXT_MAX)}


def listing(listable: Listable, shape: type[BaseModel]) -> Any:  # noqa: ANN401 - FastAPI's own marker type
    """The dependency that reads what is `Asked` of a list of `shape`."""
    return Depends(Reader(listable, shape))


def answer(found: Found[Any], shape: type[T], query: Asked) -> Listing[T]:
    """The page as it goes out: items read into `shape`, only the fields that were asked for."""
    adapter: TypeAdapter[T] = TypeAdapter(shape)
    items = [adapter.validate_python(item, from_attributes=True) for item in found.items]
    page = Listing[shape](  # type: ignore[valid-type] # a class that is only known here
        items=items, next=query.seal(found.next) if found.next is not None else None, total=found.total
    )
    if not query.fields:
        return cast("Listing[T]", page)
    document = page.model_dump(mode="json")
    document["items"] = [project(item, query.fields) for item in document["items"]]
    # FastAPI sends a response as it is: an item with some of its fields left out has no shape to be checked against.
    return cast("Listing[T]", Response(orjson.dumps(document), media_type="application/json"))


def project(item: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Only these parts of a JSON object; `b.c` reaches into objects and into lists of them."""
    chosen: dict[str, list[str]] = {}
    for field in fields:
        name, _, rest = field.partition(".")
        chosen.setdefault(name, []).append(rest)
    return {
        name: item[name] if "" in rests else _inside(item[name], rests)
        for name, rests in chosen.items()
        if name in item
    }


def _describe(scope: Mapping[str, Any], sort: Sequence[Order], filters: Sequence[Filter]) -> str:
    """What a cursor is good for: this route, this order and these filters."""
    conditions = sorted((f.name, f.operator, str(f.value)) for f in filters)
    return orjson.dumps([scope.get("ossature.route", ""), [str(order) for order in sort], conditions]).decode()


def _inside(value: Any, fields: Sequence[str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_inside(one, fields) for one in value]
    return project(value, fields) if isinstance(value, dict) else value


def _paths(shape: Any, prefix: str = "", depth: int = 4) -> Iterator[str]:  # noqa: ANN401 - an annotation
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        for name, field in shape.model_fields.items():
            public = f"{prefix}{field.serialization_alias or name}"
            yield public
            if depth:
                yield from _paths(field.annotation, f"{public}.", depth - 1)
    else:
        for argument in get_args(shape):
            yield from _paths(argument, prefix, depth)


def _number(given: QueryParams, name: str, default: int, *, most: int, faults: list[FieldError]) -> int:
    text = given.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most:
        return int(text)
    faults.append(FieldError(f"query/{name}", f"Give a whole number from 1 to {most}.", "out_of_range"))
    return default


def _unknown(parameter: str, name: str, allowed: Sequence[str] | Mapping[str, Any]) -> FieldError:
    names = ", ".join(sorted(allowed)) or "none"
    return FieldError(f"query/{parameter}", f"There is no {name[:60]!r} here; allowed: {names}.", "unknown")


def _refusal(name: str, message: str, code: str) -> InvalidInput:
    return InvalidInput(errors=[FieldError(f"query/{name}", message, code)])
