"""Multinomial logit on standardised inputs, fitted by Newton's method with a small L2 penalty.

Small on purpose: with twenty inputs and a hundred thousand rows it is fitted in well under a second, explains itself
exactly, and needs no library beyond numpy.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from ossature.services.predict.domain.native import Floats, Integers

_MOST_STEPS: Final = 30
_CLOSE: Final = 1e-10
_DECIMALS: Final = 9
_BLOCK: Final = 16_384


@dataclass(frozen=True, slots=True)
class Logit:
    """A fitted model. weights: one row for each class but the last, the constant first; inputs are standardised."""

    mean: Floats
    scale: Floats
    weights: Floats

    def probabilities(self, inputs: Floats) -> Floats:
        """One row for each row of `inputs`, one column for each class; every row sums to 1."""
        scores = _with_constant((inputs - self.mean) / self.scale) @ self.weights.T
        return _softmax(scores)

    def fingerprint(self) -> str:
        """SHA-256 of the numbers that make the model, hexadecimal."""
        digest = hashlib.sha256()
        for part in (self.mean, self.scale, self.weights):
            digest.update((np.ascontiguousarray(part) + 0.0).tobytes())
        return digest.hexdigest()


def fit(inputs: Floats, classes: Integers, *, count: int, penalty: float = 3.0) -> Logit:
    """The logit of `count` classes that makes these classes most likely, less `penalty` / 2 times the squared weights.

    Weights are rounded to nine decimals: the same rows give the same model on every machine.
    Raises: ValueError when there are no rows, or an input is not a number.
    """
    if len(inputs) == 0 or not np.isfinite(inputs).all():
        raise ValueError("a logit is fitted on one row or more, of finite numbers")
    mean = np.round(inputs.mean(axis=0), _DECIMALS)
    scale = np.round(inputs.std(axis=0), _DECIMALS)
    scale[scale == 0.0] = 1.0
    design = _with_constant((inputs - mean) / scale)
    weights = np.zeros((count - 1, design.shape[1]))
    for _ in range(_MOST_STEPS):
        slope, bend = _slope_and_bend(design, classes, weights)
        shrink = np.full(weights.shape, penalty)
        shrink[:, 0] = 0.0
        slope -= shrink * weights
        step = np.linalg.solve(bend + np.diag(shrink.ravel()) + 1e-9 * np.eye(weights.size), slope.ravel())
        weights += step.reshape(weights.shape)
        if np.abs(step).max() < _CLOSE:
            break
    return Logit(mean, scale, np.round(weights, _DECIMALS))


def _slope_and_bend(design: Floats, classes: Integers, weights: Floats) -> tuple[Floats, Floats]:
    """First and (negative) second derivative of the log-likelihood, block by block to stay in the cache."""
    kinds, width = weights.shape
    slope, bend = np.zeros((kinds, width)), np.zeros((kinds, width, kinds, width))
    for first in range(0, len(design), _BLOCK):
        rows, said = design[first : first + _BLOCK], classes[first : first + _BLOCK]
        chances = _softmax(rows @ weights.T)[:, :kinds]
        slope += ((said[:, None] == np.arange(kinds)) - chances).T @ rows
        for a in range(kinds):
            for b in range(a, kinds):
                weight = chances[:, a] * ((a == b) - chances[:, b])
                part = rows.T @ (rows * weight[:, None])
                bend[a, :, b] += part
                if a != b:
                    bend[b, :, a] += part
    return slope, bend.reshape(weights.size, weights.size)


def _with_constant(inputs: Floats) -> Floats:
    return np.column_stack([np.ones(len(inputs)), inputs])


def _softmax(scores: Floats) -> Floats:
    """Scores of all classes but the last, whose score is 0."""
    whole = np.column_stack([scores, np.zeros(len(scores))])
    whole -= whole.max(axis=1, keepdims=True)
    np.exp(whole, out=whole)
    whole /= whole.sum(axis=1, keepdims=True)
    return whole
