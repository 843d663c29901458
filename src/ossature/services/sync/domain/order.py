"""In which order records are written: those that others refer to first, removals last."""

from collections.abc import Mapping

REMOVALS = frozenset({"delete", "deactivate"})
_REMOVES_FROM = 1_000_000


def depths(refers_to: Mapping[str, str | None]) -> dict[str, int]:
    """How far each key stands below one that refers to nobody here: key -> the key that it names -> depth from 0.

    A circle has no top; its members get the depth of who reaches it, and the smallest key of it counts as the top.
    """
    found: dict[str, int] = {}
    for start in sorted(refers_to):
        trail: list[str] = []
        here: str | None = start
        while here is not None and here in refers_to and here not in found and here not in trail:
            trail.append(here)
            here = refers_to[here]
        depth = found[here] + 1 if here is not None and here in found else 0
        for key in reversed(trail):
            found[key] = depth
            depth += 1
    return found


def rank(op: str, depth: int) -> int:
    """The place of an operation: creations and changes from the top down, removals after them from the bottom up."""
    return _REMOVES_FROM - depth if op in REMOVALS else depth
