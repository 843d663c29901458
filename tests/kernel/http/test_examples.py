from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter

from ossature.kernel.http.examples import example_of


class Part(BaseModel):
    name: str = Field(max_length=3)
    size: Literal["small", "large"]


class Order(BaseModel):
    id: UUID
    at: AwareDatetime
    parts: list[Part]
    count: int = Field(ge=3)
    weight_kg: float | None
    note: str | None = Field(default=None, examples=["by the back door"])
    tags: list[Annotated[str, Field(examples=["fragile"])]] | None = None
    quiet: bool | None = None


def made(shape: Any) -> Any:
    schema = TypeAdapter(shape).json_schema(ref_template="#/components/schemas/{model}")
    return example_of(schema, schema.get("$defs", {}))


def test_an_example_is_accepted_by_the_shape_that_it_is_made_from() -> None:
    Order.model_validate(made(Order), strict=False)


def test_a_field_that_may_be_left_out_is_there_when_it_has_an_example() -> None:
    example = made(Order)

    assert example["note"] == "by the back door"
    assert example["tags"] == ["fragile"]
    assert "quiet" not in example


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Annotated[str, Field(examples=["a", "b"])], "a"),
        (Annotated[int, Field(gt=5)], 6),
        (int, 1),
        (bool, True),
        (Literal["one", "two"], "one"),
        (Annotated[str, Field(min_length=6)], "textxx"),
        (dict[str, int], {}),
    ],
)
def test_what_a_field_says_of_itself_comes_first(shape: Any, expected: object) -> None:
    assert made(shape) == expected


def test_shapes_that_contain_themselves_end() -> None:
    schema = {"$ref": "#/components/schemas/Node"}
    node = {"type": "object", "required": ["child"], "properties": {"child": schema}}

    assert isinstance(example_of(schema, {"Node": node}), dict)
