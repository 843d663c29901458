"""What the solver's tests share: how much is tried, both kernels, and benchmark files where they are."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from darp import KERNEL, Problem, read_cordeau

FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"
DATA = os.environ.get("DARP_DATA", "")


@pytest.fixture(scope="session")
def tries() -> Callable[[int], int]:
    """How many random cases to try: a twentieth of what is asked, all of it with `make test FULL=1`."""
    return lambda full: full if FULL else max(1, full // 20)


@pytest.fixture(params=["cpp", "python"])
def reference(request: pytest.FixtureRequest) -> bool:
    """For tests of both kernels: whether to ask for the Python one."""
    if request.param == "cpp" and KERNEL != "cpp":
        pytest.skip("the C++ kernel is not compiled here")
    return request.param == "python"


@pytest.fixture(scope="session")
def compiled() -> None:
    """For tests that compare the kernels."""
    if KERNEL != "cpp":
        pytest.skip("the C++ kernel is not compiled here")


@pytest.fixture(scope="session")
def instance() -> Callable[[str], Problem]:
    """A benchmark instance by its name, from the folder that DARP_DATA names."""
    if not DATA:
        pytest.skip("DARP_DATA names no folder with benchmark files")

    def read(name: str) -> Problem:
        return read_cordeau(next(Path(DATA).glob(f"**/{name}.txt")))

    return read
