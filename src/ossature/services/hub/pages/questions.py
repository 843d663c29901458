"""Forms for questions: one field for each part of an operation's question, made from its shape."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from nicegui import ui
from nicegui.elements.mixins.value_element import ValueElement

from ossature.kernel.console.parts import field, select
from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.i18n.words import Words, translate
from ossature.kernel.outbound.operation import Operation
from ossature.services.hub.ports import OPERATIONS

BY_ID: Mapping[str, Operation] = {operation.id: operation for operation in OPERATIONS}

WORDS = Words("hub.questions", {"optional": "{name} (optional)"})


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a question as JSON Schema has it. kind: `string`, `number`, `integer`, `boolean`, or `json`."""

    name: str
    kind: str
    required: bool
    hint: str
    example: str
    choices: tuple[str, ...] = ()


@cache
def parts_of(operation_id: str) -> tuple[Part, ...]:
    """The parts of an operation's question, in their order."""
    schema = msgspec.json.schema(BY_ID[operation_id].query)
    shape = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    required = set(shape.get("required", ()))
    return tuple(_part(name, said, required=name in required) for name, said in shape["properties"].items())


def _part(name: str, said: Mapping[str, Any], *, required: bool) -> Part:
    kind = said.get("type") or next((one["type"] for one in said.get("anyOf", ()) if one.get("type") != "null"), "json")
    examples = said.get("examples") or ([said["default"]] if said.get("default") is not None else [])
    return Part(
        name=name.rstrip("_"),  # as on the wire, where a word of Python needs no mark
        kind=kind if kind in {"string", "number", "integer", "boolean"} else "json",
        required=required,
        hint=said.get("description", ""),
        example=str(examples[0]) if examples and required else "",
        choices=tuple(str(one) for one in said.get("enum", ())),
    )


class Question:
    """The fields of one question, drawn where it is made."""

    def __init__(self, operation_id: str) -> None:
        self._fields: list[tuple[Part, ValueElement[Any]]] = [(part, _field(part)) for part in parts_of(operation_id)]

    def value(self) -> dict[str, Any]:
        """What was typed, as JSON. Raises: InvalidInput for what cannot be read."""
        said: dict[str, Any] = {}
        wrong = []
        for part, element in self._fields:
            text = str(element.value or "").strip()
            if not text:
                continue
            try:
                said[part.name] = _read(part, text)
            except ValueError:
                wrong.append(FieldError(f"/{part.name}", f"{text!r} is no {part.kind}.", part.kind))
        if wrong:
            raise InvalidInput(errors=wrong)
        return said


def _field(part: Part) -> ValueElement[Any]:
    label = part.name if part.required else WORDS("optional", name=part.name)
    if part.choices or part.kind == "boolean":
        return select(label, ["", *(part.choices or ("true", "false"))], value=part.example)
    return field(label, value=part.example, hint=part.hint)


def _read(part: Part, text: str) -> Any:  # noqa: ANN401 - a JSON value
    match part.kind:
        case "integer":
            return int(text)
        case "number":
            return float(text)
        case "boolean" | "json":
            return json.loads(text)
        case _:
            return text


def operation_select(label: str, value: str) -> ui.select:
    """A choice of operations."""
    return select(label, {each.id: f"{each.id} - {translate(each.title)}" for each in OPERATIONS}, value=value)
