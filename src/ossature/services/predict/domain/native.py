"""Numerical kernels, written once: compiled by numba where it is installed, else run as the Python that they are.

Both ways give the same numbers within 1e-9 (the order of operations is the same; only `exp` and `log` may differ in the last
bit). Compiled code is kept on disk beside this package, or in the user's cache where that is read-only.
"""

import importlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_F = TypeVar("_F", bound=Callable[..., Any])


def _numba() -> Any:  # noqa: ANN401 - the library has no types, and may be absent
    try:
        return importlib.import_module("numba")
    except ImportError:
        return None


_NUMBA = _numba()
NATIVE = _NUMBA is not None
"""Whether kernels run compiled. Without numba a pass of the ratings takes about twenty times as long."""


def compiled(function: _F) -> _F:
    """Decorator of a kernel: a function of numbers, arrays and named tuples of arrays."""
    return function if _NUMBA is None else cast("_F", _NUMBA.njit(cache=True)(function))


def compiled_in_place(function: _F) -> _F:
    """Decorator of a kernel that makes no array and divides by nothing that can be zero: it writes into those it is given.

    It needs no runtime, which would count the references of every array of every tuple at every call: that took three
    quarters of the time of the ratings and six sevenths of the memory's.
    """
    if _NUMBA is None:
        return function
    return cast("_F", _NUMBA.njit(cache=True, error_model="numpy", forceinline=True, _nrt=False)(function))
