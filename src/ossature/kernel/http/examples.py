"""Examples of bodies, put together from what their fields say: the first of `examples`, else a default, else the type."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_DEPTH_MOST = 8
_BY_FORMAT = {
    "uuid": "0198c5f0-6a1e-7c3d-9b52-3f8e1d2a4b6c",
    "date-time": "2031-03-01T08:00:00Z",
    "date": "2031-03-01",
    "time": "08:00:00",
    "email": "ada@example.org",
    "uri": "https://example.org/hook",
    "password": "correct horse battery staple",
}


def example_of(schema: Schema, schemas: Mapping[str, Schema], depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """A value that fits a JSON Schema: what must be there, and whatever else has an example of its own.

    schemas: what `#/components/schemas/...` refers to.
    """
    schema = _resolved(schema, schemas)
    said, value = _said(schema)
    if said or depth > _DEPTH_MOST:
        return value
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", ())
        return {
            name: example_of(part, schemas, depth + 1)
            for name, part in schema.get("properties", {}).items()
            if name in required or _has_example(part, schemas)
        }
    if kind == "array":
        return [example_of(schema.get("items", {}), schemas, depth + 1)]
    return _scalar(schema, kind)


def _said(schema: Schema) -> tuple[bool, Any]:
    """Whether the schema itself names a value, and which."""
    for name in ("examples", "enum"):
        if schema.get(name):
            return True, schema[name][0]
    for name in ("example", "const", "default"):
        if name in schema:
            return True, schema[name]
    return False, None


def _resolved(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    """A schema without references and choices: the first choice that is not null. Examples beside a choice win."""
    if schema.get("examples") or "example" in schema:
        return schema
    if "$ref" in schema:
        return _resolved(schemas.get(schema["$ref"].rpartition("/")[2], {}), schemas)
    for word in ("anyOf", "oneOf", "allOf"):
        for choice in schema.get(word, ()):
            if choice.get("type") != "null":
                return _resolved(choice, schemas)
    return schema


def _has_example(schema: Schema, schemas: Mapping[str, Schema]) -> bool:
    found = _resolved(schema, schemas)
    if found.get("type") == "array":
        return bool(found.get("examples")) or _has_example(found.get("items", {}), schemas)
    return bool(found.get("examples")) or "example" in found


def _scalar(schema: Schema, kind: str | None) -> Any:  # noqa: ANN401 - JSON
    if kind in {"integer", "number"}:
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        return 1 if least is None or least < 1 else least + ("exclusiveMinimum" in schema)
    if kind == "boolean":
        return True
    if kind == "string":
        by_format: str | None = _BY_FORMAT.get(schema.get("format", ""))
        return by_format or "text".ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 60)]
    return None
