"""The generated pages of docs/reference say what the code says."""

import asyncio

import pytest

from tests.house import references
from tests.house.references import COMMAND, FOLDER


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return references.pages()


@pytest.mark.parametrize("name", sorted(references.WRITERS))
def test_a_page_says_what_the_code_says(name: str, generated: dict[str, str]) -> None:
    assert (FOLDER / name).read_text() == generated[name], f"write it again: {COMMAND}"


def test_the_committed_openapi_document_is_the_one_that_is_served(generated: dict[str, str]) -> None:
    # Not compared as text by pytest: the difference of two large documents takes it minutes.
    same = (FOLDER / "openapi.json").read_text() == generated["openapi.json"]

    assert same, f"write it again: {COMMAND}"


def test_the_openapi_document_does_not_change_from_one_start_to_the_next(generated: dict[str, str]) -> None:
    same = asyncio.run(references.openapi()) == generated["openapi.json"]

    assert same
