"""The table of what was answered to routes with a promise, by the hour; all processes add to the same rows."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Date, String, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel.db.table import Table
from ossature.kernel.db.transaction import Db
from ossature.kernel.db.upsert import upsert
from ossature.kernel.http.budgets.domain import Counts

Route = tuple[str, str]
"""Method and template."""


class RouteHourRow(Table):
    """One hour (its beginning, UTC) of one route. slow, failed, unavailable: of the requests, those that missed a promise.

    day: of the hour, so that days can be added up in the same words on both databases.
    """

    __tablename__ = "http_route_hour"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    method: Mapped[str] = mapped_column(String(10), primary_key=True)
    endpoint: Mapped[str] = mapped_column(String(300), primary_key=True)
    day: Mapped[date] = mapped_column(Date)
    requests: Mapped[int] = mapped_column(BigInteger)
    slow: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    unavailable: Mapped[int] = mapped_column(BigInteger)


_COUNTED = ("requests", "slow", "failed", "unavailable")
_SUMS = [func.sum(getattr(RouteHourRow, name)).label(name) for name in _COUNTED]


async def add(db: Db, hours: Mapping[tuple[datetime, str, str], Counts]) -> None:
    """Add to the rows of these hours (beginning, method, template), which may be there already."""
    rows = [
        {
            "hour": hour,
            "method": method,
            "endpoint": endpoint,
            "day": hour.date(),
            **{name: getattr(counts, name) for name in _COUNTED},
        }
        # In one order in all processes: rows are locked one after the other, and nobody waits for whoever waits for him.
        for (hour, method, endpoint), counts in sorted(hours.items(), key=lambda item: item[0])
    ]
    statement = upsert(db, RouteHourRow).values(rows)
    more = {name: getattr(RouteHourRow, name) + getattr(statement.excluded, name) for name in _COUNTED}
    await db.execute(statement.on_conflict_do_update(index_elements=["hour", "method", "endpoint"], set_=more))


async def days(db: Db, *, since: datetime) -> dict[Route, dict[date, Counts]]:
    """What each route was asked since then, by the day (UTC)."""
    row = RouteHourRow
    query = select(row.method, row.endpoint, row.day, *_SUMS).where(row.hour >= since)
    found: dict[Route, dict[date, Counts]] = {}
    for one in await db.all(query.group_by(row.method, row.endpoint, row.day)):
        found.setdefault((one.method, one.endpoint), {})[one.day] = _counts(one)
    return found


async def hours(db: Db, route: Route, *, since: datetime) -> dict[datetime, Counts]:
    """What one route was asked since then, by the hour, the oldest first."""
    row = RouteHourRow
    query = select(row.hour, row.requests, row.slow, row.failed, row.unavailable).where(
        row.hour >= since, row.method == route[0], row.endpoint == route[1]
    )
    return {one.hour: _counts(one) for one in await db.all(query.order_by(row.hour))}


async def purge(db: Db, *, before: datetime) -> int:
    """Forget hours that began before then; how many rows."""
    return await db.execute(delete(RouteHourRow).where(RouteHourRow.hour < before))


def _counts(row: Any) -> Counts:  # noqa: ANN401 - a row of a query
    # PostgreSQL adds whole numbers up to decimals.
    return Counts(*(int(getattr(row, name)) for name in _COUNTED))
