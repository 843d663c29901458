from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import select

from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import OutOfRange
from ossature.kernel.jobs.store import JobRow

BEYOND = [
    JobRow.attempts == 2**70,
    JobRow.created_at >= datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    JobRow.created_at <= datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=14))),
]


@pytest.mark.parametrize("condition", BEYOND, ids=["number", "before year 1", "after year 9999"])
async def test_what_no_column_can_hold_is_refused_and_not_our_failure(database: Database, condition: object) -> None:
    async with database.begin() as db:
        with pytest.raises(OutOfRange):
            await db.all(select(JobRow.id).where(condition))
