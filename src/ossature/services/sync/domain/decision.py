"""What is done about one record, by three things: what it should be, what it is, and what was last applied.

The table is the one of the guide (docs/guides/sync); each row is a test in tests/services/sync/test_three_way.py.
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Literal

from ossature.services.sync.domain.canonical import encode
from ossature.services.sync.domain.config import Policies
from ossature.services.sync.domain.difference import Difference
from ossature.services.sync.domain.layout import Layout, Record

Op = Literal["create", "update", "delete", "deactivate", "adopt"]

ENGINE_VERSION = "1"
"""Raised when a canonical form changes: stored hashes of an older one say nothing any more."""


class Case(StrEnum):
    """Where a record stands between the source, the target and what was last applied."""

    NEW = "new"
    VANISHED = "vanished"
    MATCH = "match"
    EQUAL = "equal"
    FIRST_MATCH = "first_match"
    DRIFT = "drift"
    SOURCE_CHANGED = "source_changed"
    CONFLICT = "conflict"
    GONE = "gone"
    FOREIGN = "foreign"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class State:
    """What we know of a record from the last time. Hashes are those of `content_hash`."""

    owner: Literal["created", "adopted"]
    applied_hash: str
    target_hash: str
    missing_reads: int = 0
    missing_days: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """The case, and what is done: None is to leave it alone and say so."""

    case: Case
    op: Op | None


def content_hash(layout: Layout, record: Record) -> str:
    """What a record amounts to under the rules of its pipeline, in 32 hex digits."""
    return blake2b(encode([ENGINE_VERSION, layout.canonical(record)]), digest_size=16).hexdigest()


def decide(found: Difference, state: State | None, *, layout: Layout, policies: Policies) -> Decision:
    """What is done about a difference; deletions are a matter of `removal`."""
    if found.desired is None:
        return removal(state, policy="never", grace_reads=1, grace_days=0)
    if found.actual is None:
        recreates = state is None or policies.on_vanished == "recreate"
        return Decision(Case.NEW if state is None else Case.VANISHED, "create" if recreates else None)
    if state is None:
        return Decision(Case.FIRST_MATCH, "update" if policies.on_first_match == "update" else None)
    if state.applied_hash == content_hash(layout, found.desired):
        drift: dict[str, Op | None] = {"revert": "update", "report": None, "adopt": "adopt"}
        return Decision(Case.DRIFT, drift[policies.on_drift])
    if state.target_hash == content_hash(layout, found.actual):
        return Decision(Case.SOURCE_CHANGED, "update")
    return Decision(Case.CONFLICT, "update" if policies.on_conflict == "source_wins" else None)


def equal(state: State | None) -> Decision:
    """What is done about a record that is as it should be: taken into our care when it is not yet."""
    return Decision(Case.MATCH, "adopt") if state is None else Decision(Case.EQUAL, None)


def removal(
    state: State | None, *, policy: Literal["never", "deactivate", "delete"], grace_reads: int, grace_days: int
) -> Decision:
    """What is done about a record that the source has no more, at this complete read of it.

    A record that this pipeline neither created nor adopted is never removed.
    """
    if state is None:
        return Decision(Case.FOREIGN, None)
    waited = state.missing_reads + 1 >= grace_reads and state.missing_days >= grace_days
    return Decision(Case.GONE, policy if policy != "never" and waited else None)
