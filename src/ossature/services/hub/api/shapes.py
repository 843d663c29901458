"""Questions and answers on the wire: a pydantic model for each frozen dataclass of the domain, made once at the start.

A name that ends with `_` in the domain (`from_`) loses that on the wire. Constraints are those of the domain's
`msgspec.Meta`; decimals are text; an answer's field is always there, null where the source does not say.
"""

import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from ossature.kernel.http.input import Input
from ossature.kernel.http.validation import Currency, LanguageTag
from ossature.kernel.outbound.operation import Operation

_KINDS: Mapping[str, Any] = {"currency": Currency, "language": LanguageTag}
"""How texts are read that the domain says more of: `Meta(extra={"format": "currency"})`."""
_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")
_DOMAIN_NAME = re.compile(r"`(\w+)_`")
_WORD_START = re.compile(r"(?:^|[._])([a-z0-9])")


class In(Input):
    """What comes in: nothing but the named fields, finite numbers only."""


class Out(BaseModel):
    """What goes out: every field, always."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True, frozen=True)


def wire_name(name: str) -> str:
    """A field's name on the wire."""
    return name.removesuffix("_")


def title_of(operation: Operation) -> str:
    """`weather.current` as a class name: WeatherCurrent."""
    return _WORD_START.sub(lambda match: match[1].upper(), operation.id)


@cache
def model_of(kind: type[Any]) -> type[BaseModel]:
    """How a dataclass of the domain goes out."""
    hints = get_type_hints(kind, include_extras=True)
    described: dict[str, Any] = {
        each.name: (_outgoing(hints[each.name]), Field(alias=wire_name(each.name))) for each in fields(kind)
    }
    model: type[BaseModel] = create_model(kind.__name__, __base__=Out, __doc__=_doc_of(kind), **described)
    return model


def _doc_of(kind: type[Any]) -> str:
    """A docstring with the names that are on the wire."""
    return _DOMAIN_NAME.sub(r"`\1`", kind.__doc__ or "")


def question_of(operation: Operation, common: type[BaseModel]) -> type[BaseModel]:
    """How an operation's question comes in: the fields of its dataclass beside those that all questions have.

    Raises: ValueError when a field of the question has the name of a common one.
    """
    kind = operation.query
    hints = get_type_hints(kind, include_extras=True)
    described: dict[str, Any] = {}
    for each in fields(kind):
        name = wire_name(each.name)
        if name in common.model_fields:
            msg = f"{operation.id}: the field {name!r} has the name of a common parameter"
            raise ValueError(msg)
        default = ... if each.default is MISSING else each.default
        annotation = _incoming(hints[each.name])
        described[each.name] = (annotation, Field(default=default, alias=name) if name != each.name else default)
    model: type[BaseModel] = create_model(
        f"{title_of(operation)}Query", __base__=common, __doc__=_doc_of(kind), **described
    )
    return model


def query_from(operation: Operation, asked: BaseModel) -> Any:  # noqa: ANN401 - the operation's own type
    """The domain's question out of what came in."""
    return operation.query(**{each.name: getattr(asked, each.name) for each in fields(operation.query)})


def _incoming(annotation: Any) -> Any:  # noqa: ANN401 - an annotation
    """A type as it is read: constraints applied, lists also as `a,b`."""
    if get_origin(annotation) is Annotated:
        inner, *about = get_args(annotation)
        extras = [each.extra or {} for each in about if isinstance(each, msgspec.Meta)]
        kind = next((_KINDS[extra["format"]] for extra in extras if "format" in extra), None)
        return Annotated[(kind or _incoming(inner), *_fields_of(about))]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (list, Sequence):
        return Annotated[list[_incoming(arguments[0])], BeforeValidator(parted)]  # type: ignore[misc] # made at run time
    if origin in (Union, types.UnionType):
        return Union[tuple(_incoming(each) for each in arguments)]  # noqa: UP007 - made at run time
    if annotation is datetime:
        return AwareDatetime
    return annotation


def parted(value: object) -> object:
    """The parts of `a,b`, or of a list of such texts, as a query string has them."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return [part.strip() for each in value for part in each.split(",") if part.strip()]
    return value


def _fields_of(about: Sequence[Any]) -> list[Any]:
    """The remarks of msgspec on a type, as pydantic has them."""
    found = []
    for each in about:
        if isinstance(each, msgspec.Meta):
            rules = {name: getattr(each, name) for name in _CONSTRAINTS if getattr(each, name) is not None}
            # What msgspec has no word for, such as the least Decimal, stands in `extra`.
            rules.update({name: rule for name, rule in (each.extra or {}).items() if name != "format"})
            found.append(Field(description=each.description, examples=each.examples, **rules))
        else:
            found.append(each)
    return found


def _outgoing(annotation: Any) -> Any:  # noqa: ANN401 - an annotation
    """A type as it is sent: dataclasses as models, without constraints."""
    if get_origin(annotation) is Annotated:
        return _outgoing(get_args(annotation)[0])
    if isinstance(annotation, type) and is_dataclass(annotation):
        return model_of(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (list, tuple, Sequence):
        return list[_outgoing(arguments[0])]  # type: ignore[misc] # made at run time
    if origin in (dict, Mapping):
        return dict[arguments[0], _outgoing(arguments[1])]  # type: ignore[misc,valid-type] # made at run time
    if origin in (Union, types.UnionType):
        return Union[tuple(_outgoing(each) for each in arguments)]  # noqa: UP007 - made at run time
    return annotation


Answered = Literal["hit", "miss", "stale", "bypass"]


class AttemptOut(Out):
    """One try at one provider. kind: `ok`, or why it gave no answer."""

    provider: str
    kind: str
    ms: int
    detail: str


class QuotaOut(Out):
    """What is left of one window of the provider that answered."""

    unit: str
    limit: int
    remaining: int
    resets_at: datetime | None


class MetaOut(Out):
    """Where an answer comes from and what it took. cost_microusd: of all attempts, in millionths of a US dollar."""

    operation: str
    model_version: int
    provider: str
    attempts: list[AttemptOut]
    cache: Answered
    stale: bool
    as_of: datetime
    latency_ms: float
    cost_microusd: int
    quota: list[QuotaOut]
    licence: str
    attribution: str
    warnings: list[str]


def envelope_of(operation: Operation) -> type[BaseModel]:
    """How an operation's answer goes out: the model, where it comes from, and the request's id."""
    described: dict[str, Any] = {
        "data": (model_of(operation.result), ...),
        "meta": (MetaOut, ...),
        "request_id": (str, ...),
        "raw": (str | None, Field(default=None, exclude_if=lambda value: value is None)),
    }
    model: type[BaseModel] = create_model(
        f"{title_of(operation)}Answer",
        __base__=Out,
        __doc__=f"{operation.title}, with where it comes from.",
        **described,
    )
    return model


def example_of(operation: Operation) -> dict[str, Any]:
    """A question of this operation, from the examples beside its fields."""
    found: dict[str, Any] = {}
    hints = get_type_hints(operation.query, include_extras=True)
    for each in fields(operation.query):
        example = _example(hints[each.name])
        if example is not None and each.default is MISSING:
            found[wire_name(each.name)] = str(example) if isinstance(example, Decimal) else example
    return found


def _example(annotation: Any) -> Any:  # noqa: ANN401 - any JSON value
    if get_origin(annotation) is Annotated:
        for each in get_args(annotation)[1:]:
            if isinstance(each, msgspec.Meta) and each.examples:
                return each.examples[0]
    return None
