"""Laws of everything that is served: who may call it, what goes in, what comes out."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from ossature.app import services
from ossature.kernel.guests import everybody
from ossature.kernel.http.input import Input
from ossature.kernel.http.route import list_parameters
from ossature.kernel.quotas.domain import RATES
from tests.house.served import Served, Serving, serving

# What stands outside of /v1, for browsers and for the machines that look after us.
ROOT = {
    "/", "/console/", "/docs", "/docs/files/{edition}/{name}", "/health", "/health/detailed", "/health/live",
    "/health/ready", "/metrics", "/openapi.json", "/problems", "/problems/{slug}", "/prometheus/metrics-http", "/ready",
    "/redoc", "/reference", "/reference/deprecated",
}  # fmt: skip
_SHORT_FORMS = {"uuid", "date-time", "date", "time", "email"}
_FILES = {"text/csv", "application/octet-stream"}
"""Bodies that are a file, which the room that reads it checks row by row."""
_ENDLESS = re.compile(r"(?<!\\)[*+]|\{\d+,\}")
# Shapes that others have made, or that another model checks in a second step.
_CHECKED_ELSEWHERE = {
    "POST /v1/chat/completions": "the shape of the OpenAI API, read by the codec of the hub, which has bounds of its own",
    "POST /v1/batch": "the body of another route, read by that route's own model",
    "POST /v1/hub/route/explain": "the question of an operation, read by that operation's own model",
}

SERVING = serving()
every_operation = pytest.mark.parametrize("served", SERVING.operations, ids=str)
documented = pytest.mark.parametrize("served", [one for one in SERVING.operations if one.operation], ids=str)


@pytest.fixture
def house() -> Serving:
    return SERVING


@every_operation
def test_a_route_says_who_may_call_it_and_how_often(served: Served) -> None:
    declared = {permission for service in everybody(services()) for permission in service.permissions}
    rates = {"none", *RATES, *(rate.name for service in everybody(services()) for rate in service.limits)}

    assert served.policy.public is (served.policy.allow is None)
    assert served.policy.public or served.policy.allow in declared | {"*"}
    assert served.policy.rate in rates


@every_operation
def test_a_route_has_a_version_or_is_one_of_the_known_roots(served: Served) -> None:
    assert served.path.startswith("/v1/") or served.path in ROOT


def test_every_known_root_is_still_there() -> None:
    assert {one.path for one in SERVING.operations} >= ROOT


@every_operation
def test_what_has_a_version_is_in_the_openapi_document(served: Served) -> None:
    # A WebSocket has no operation in OpenAPI; its protocol is on a page of its own.
    assert served.operation is not None or served.method == "WEBSOCKET" or served.path in ROOT


def _models(annotation: Any, seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """The models inside of an annotation, those of their fields too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in seen:
            seen.add(annotation)
            yield annotation
            for field in annotation.model_fields.values():
                yield from _models(field.annotation, seen)
        return
    for argument in get_args(annotation):
        yield from _models(argument, seen)


@documented
def test_a_body_is_a_strict_model(served: Served, house: Serving) -> None:
    body = (served.operation or {}).get("requestBody")
    if body is None:
        return
    assert served.method not in {"GET", "HEAD"}
    for kind, content in body["content"].items():
        schema = house.resolved(content["schema"])
        assert schema.get("type") == "object" or (kind in _FILES and schema.get("format") == "binary")
    if served.route is not None and served.route.body_field is not None:
        models = list(_models(served.route.body_field.field_info.annotation, set()))
        assert models
        assert [model.__name__ for model in models if not issubclass(model, Input)] == []
        assert [model.__name__ for model in models if model.model_config.get("extra") != "forbid"] == []


def _loose(house: Serving, schema: dict[str, Any], place: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """What has no bound in a schema, and where: text, numbers, lists, objects with any fields."""
    reference = schema.get("$ref", "")
    if reference in seen:
        return
    seen, schema = seen | ({reference} if reference else set()), house.resolved(schema)
    options = [house.resolved(option) for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))]
    # A decimal is a number that is written as text too, to keep its digits: the number says its range.
    numeric = any(option.get("type") == "number" for option in options)
    inside = [(place, option) for option in options if not (numeric and option.get("type") == "string")]
    if not options and not {"enum", "const"} & set(schema):
        yield from (f"{place}: {fault}" for fault in _faults(schema))
    if "items" in schema:
        inside.append((f"{place}[]", schema["items"]))
    for kind in ("properties", "patternProperties"):
        inside += [(f"{place}.{name}", inner) for name, inner in schema.get(kind, {}).items()]
    for where, inner in inside:
        yield from _loose(house, inner, where, seen)


def _faults(schema: dict[str, Any]) -> Iterator[str]:
    """What is missing in a schema itself."""
    match schema.get("type"):
        case "string" if not _is_short(schema):
            yield "text without an end"
        case "integer" | "number" if not _has_range(schema):
            yield "a number without a range"
        case "array" if "maxItems" not in schema:
            yield "a list without an end"
        case "object" if "properties" in schema and schema.get("additionalProperties", True) is not False:
            yield "any other field"
        case "object" if "properties" not in schema and "maxProperties" not in schema:
            yield "any number of fields"
        case None:
            yield "anything"


def _is_short(schema: dict[str, Any]) -> bool:
    pattern = schema.get("pattern", "")
    framed = pattern.startswith("^") and pattern.endswith("$") and not _ENDLESS.search(pattern)
    return "maxLength" in schema or framed or schema.get("format") in _SHORT_FORMS


def _has_range(schema: dict[str, Any]) -> bool:
    return bool({"minimum", "exclusiveMinimum"} & set(schema)) and bool({"maximum", "exclusiveMaximum"} & set(schema))


@documented
def test_everything_that_comes_in_has_a_bound(served: Served, house: Serving) -> None:
    operation = served.operation or {}
    loose = [
        fault
        for parameter in operation.get("parameters", [])
        for fault in _loose(house, parameter["schema"], f"{parameter['in']}/{parameter['name']}")
    ]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        loose += _loose(house, content["schema"], "body")

    assert bool(loose) is (str(served) in _CHECKED_ELSEWHERE), loose


# What a name promises, and as what the document then says it: a type of `kernel.http.validation`, or one of these words.
_PROMISED = {
    "uri": re.compile(r"(^|_)(url|uri|callback|webhook|website|link)$"),
    "email": re.compile(r"(^|_)e?mail$"),
    "phone": re.compile(r"(^|_)(phone|mobile|fax)$"),
    "iban": re.compile(r"(^|_)iban$"),
    "filename": re.compile(r"(^|_)file_?name$"),
    "language": re.compile(r"(^|_)(language|locale|lang)$"),
    "time-zone": re.compile(r"(^|_)(time_?)?(zone|tz)$"),
    "country": re.compile(r"(^|_)country$"),
    "currency": re.compile(r"(^|_)currency$"),
    "date": re.compile(r"(^|_)(date|day|birthday)$"),
    "date-time": re.compile(r"(^|_)(since|until|at)$"),
}
_NOT_WHAT_ITS_NAME_SAYS = {
    "warn_at": "the share of a budget that is a warning",
}


def _named_inputs(house: Serving, served: Served) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Place, name and schema of everything that a route takes."""
    operation = served.operation or {}
    for parameter in operation.get("parameters", []):
        yield f"{parameter['in']}/{parameter['name']}", parameter["name"], parameter["schema"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from _fields(house, content["schema"], "body")


def _fields(
    house: Serving, schema: dict[str, Any], place: str, seen: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    reference = schema.get("$ref", "")
    if reference in seen:
        return
    seen, schema = seen | ({reference} if reference else set()), house.resolved(schema)
    for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("prefixItems", ())):
        yield from _fields(house, option, place, seen)
    if "items" in schema:
        yield from _fields(house, schema["items"], f"{place}[]", seen)
    for name, inner in schema.get("properties", {}).items():
        yield f"{place}.{name}", name, inner
        yield from _fields(house, inner, f"{place}.{name}", seen)


def _formats(house: Serving, schema: dict[str, Any]) -> Iterator[str]:
    """What the texts of a schema are, in lists and choices too."""
    schema = house.resolved(schema)
    options = (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *([schema["items"]] if "items" in schema else ()))
    for option in options:
        yield from _formats(house, option)
    if not options and schema.get("type") != "null":
        yield "words of a list" if {"enum", "const"} & set(schema) else schema.get("format", "any text")


@documented
def test_a_field_takes_only_what_its_name_says(served: Served, house: Serving) -> None:
    # A filter of a list compares and keeps nothing.
    searched = (served.route is not None and {one["name"] for one in list_parameters(served.route)}) or set()
    wrong = [
        f"{place} is {given}, not {kind}"
        for place, name, schema in _named_inputs(house, served)
        for kind, pattern in _PROMISED.items()
        if pattern.search(name) and name not in searched and name not in _NOT_WHAT_ITS_NAME_SAYS
        for given in _formats(house, schema)
        if given not in {kind, "words of a list"}
    ]

    assert wrong == []


def test_every_exception_of_a_name_is_still_there(house: Serving) -> None:
    names = {name for served in house.operations for _, name, _ in _named_inputs(house, served)}

    assert names >= set(_NOT_WHAT_ITS_NAME_SAYS)


@documented
def test_a_body_has_an_example_that_the_route_accepts(served: Served) -> None:
    content = (served.operation or {}).get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return
    example = content["example"] if "example" in content else next(iter(content["examples"].values()))["value"]
    assert example
    if served.route is not None and served.route.body_field is not None:
        _, errors = served.route.body_field.validate(example, {}, loc=("body",))
        assert not errors


@documented
def test_a_route_shows_how_it_is_called(served: Served) -> None:
    samples = (served.operation or {})["x-codeSamples"]

    assert [sample["lang"] for sample in samples] == ["Shell", "Python", "JavaScript"]


@documented
def test_an_answer_has_a_shape(served: Served, house: Serving) -> None:
    good = {
        status: answer for status, answer in (served.operation or {})["responses"].items() if status.startswith("2")
    }

    assert good
    for status, answer in good.items():
        if status == "204":
            assert "content" not in answer
            continue
        for kind, content in answer["content"].items():
            schema = house.resolved(content.get("schema", {}))
            assert kind != "application/json" or {"type", "anyOf", "oneOf"} & set(schema), (status, schema)


@documented
def test_an_operation_has_a_name_of_its_own_and_a_sentence(served: Served) -> None:
    operation = served.operation or {}
    same = [one for one in SERVING.operations if (one.operation or {}).get("operationId") == operation["operationId"]]

    assert len({(one.method, one.path) for one in same}) == 1
    assert operation.get("summary") or operation.get("description")


@documented
def test_refusals_are_problems(served: Served) -> None:
    responses = (served.operation or {})["responses"]

    assert {"4XX", "5XX"} <= set(responses) or "default" in responses
