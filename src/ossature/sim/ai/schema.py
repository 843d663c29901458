"""The smallest value that a JSON Schema allows; places named in a text fill the fields that ask for one."""

from collections.abc import Mapping
from typing import Any

from ossature.sim.wire import Json
from ossature.sim.world.cities import City, search

_FORMATS = {
    "date": "2026-06-15",
    "date-time": "2026-06-15T12:00:00Z",
    "time": "12:00:00Z",
    "email": "someone@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_MAX_DEPTH = 12
_MAX_ITEMS = 20
_MAX_LETTERS = 1_000
_LARGEST = 1 << 53


class Instances:
    """Makes values for one schema. text: what the user said; a city in it answers `city`, `latitude`, ..."""

    def __init__(self, root: Mapping[str, Any], text: str = "") -> None:
        self._root = root
        self._text = text.strip()
        found = search(self._text)
        self._city: City | None = found[0] if found else None

    def make(self) -> Json:
        """Return the smallest valid instance of the schema."""
        return self._value(self._root, name="", depth=0)

    def _resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        target: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                target = target.get(step, {}) if isinstance(target, Mapping) else {}
        return target if isinstance(target, Mapping) else {}

    def _value(self, schema: object, *, name: str, depth: int) -> Json:
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return None
        schema = self._resolve(schema)
        for stated in ("const", "default"):
            if stated in schema:
                fixed: Json = schema[stated]
                return fixed
        first: Json
        for first in _listed(schema, "enum")[:1]:
            return first
        for choice in _listed(schema, "anyOf")[:1] or _listed(schema, "oneOf")[:1]:
            return self._value(choice, name=name, depth=depth + 1)
        parts = [self._value(part, name=name, depth=depth + 1) for part in _listed(schema, "allOf")]
        if parts:
            return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}
        unstated = "object" if "properties" in schema else "string"
        kind = next(iter(_listed(schema, "type")), schema.get("type", unstated))
        return self._typed(kind, schema, name=name, depth=depth)

    def _typed(self, kind: object, schema: Mapping[str, Any], *, name: str, depth: int) -> Json:
        match kind:
            case "object":
                properties = schema.get("properties")
                known = properties if isinstance(properties, Mapping) else {}
                wanted = [key for key in _listed(schema, "required") if isinstance(key, str)]
                return {key: self._value(known.get(key, {}), name=key, depth=depth + 1) for key in wanted}
            case "array":
                count = min(_MAX_ITEMS, int(_figure(schema, "minItems", otherwise=0)))
                return [self._value(schema.get("items", {}), name=name, depth=depth + 1) for _ in range(count)]
            case "integer" | "number":
                value = self._number(schema, name)
                return int(value) if kind == "integer" else float(value)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._string(schema, name)

    def _number(self, schema: Mapping[str, Any], name: str) -> float:
        if self._city and name in {"latitude", "lat"}:
            return self._city.latitude
        if self._city and name in {"longitude", "lon", "lng"}:
            return self._city.longitude
        least = _figure(schema, "minimum", otherwise=_figure(schema, "exclusiveMinimum", otherwise=0))
        value = max(least, 1) if "exclusiveMinimum" not in schema else least + 1
        return min(value, _figure(schema, "maximum", otherwise=value))

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        for example in _listed(schema, "examples")[:1]:
            if isinstance(example, str):
                return example
        form = schema.get("format")
        if isinstance(form, str) and form in _FORMATS:
            return _FORMATS[form]
        if self._city and name in {"city", "location", "place", "destination"}:
            return self._city.name
        value = self._text if name in {"q", "query", "text", "question"} and self._text else "simulated"
        value = value.ljust(min(_MAX_LETTERS, int(_figure(schema, "minLength", otherwise=0))), "x")
        return value[: int(_figure(schema, "maxLength", otherwise=len(value)))]


def _figure(schema: Mapping[str, Any], name: str, *, otherwise: float) -> float:
    """Return the number that the schema states, or the other one when it states none."""
    value = schema.get(name)
    return max(-_LARGEST, min(_LARGEST, value)) if isinstance(value, int | float) else otherwise


def _listed(schema: Mapping[str, Any], name: str) -> list[Any]:
    """Return the list that the schema states, or an empty one when it states none."""
    value = schema.get(name)
    return value if isinstance(value, list) else []
