"""Which laws `make check` holds: all that read the house. What walks through it with requests belongs to `make test`."""

from pathlib import Path

import pytest

WALKS = {"test_neighbours", "test_roles"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them."""
    for item in items:
        is_here = item.path.is_relative_to(Path(__file__).parent)
        if is_here and item.path.stem not in WALKS and item.get_closest_marker("journey") is None:
            item.add_marker("law")
