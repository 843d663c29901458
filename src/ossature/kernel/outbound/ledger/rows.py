"""Stored rows as values, alike for the databases."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson

from ossature.kernel.outbound.ledger.book import Taken
from ossature.kernel.outbound.ledger.values import Attempt, AttemptState, Difference
from ossature.kernel.outbound.ledger.windows import to_datetime


def read_attempt(row: Sequence[Any]) -> Attempt:
    """An attempt: id, request, tenant, provider, operation, state, outcome, estimated, takes, created, expires, finished."""
    state = AttemptState(row[5])
    taken: Taken = orjson.loads(row[8])
    return Attempt(
        id=_uuid(row[0]),
        request_id=row[1],
        tenant_id=_uuid(row[2]),
        provider=row[3],
        operation=row[4],
        state=state,
        outcome=row[6],
        estimated=bool(row[7]),
        takes=tuple((str(name), str(unit), int(units)) for name, _, unit, units, _ in taken),
        actual={} if state is AttemptState.OPEN else {str(take[2]): int(take[4]) for take in taken},
        created_at=to_datetime(row[9]),
        expires_at=to_datetime(row[10]),
        finished_at=None if row[11] is None else to_datetime(row[11]),
    )


def read_difference(row: Sequence[Any]) -> Difference:
    """A difference: name, cell, used, its sum, reserved, its sum."""
    return Difference(str(row[0]), to_datetime(int(row[1])), *(int(number) for number in row[2:6]))


def archived(takes: Iterable[Taken]) -> Counter[tuple[str, int]]:
    """What attempts that are forgotten were charged, by window and cell."""
    charged: Counter[tuple[str, int]] = Counter()
    for taken in takes:
        for name, cell_us, _, _, units in taken:
            charged[str(name), int(cell_us)] += int(units)
    return charged


def _uuid(value: UUID | str) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)
