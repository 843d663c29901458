"""Service levels in a browser: what is left of each budget, route by route, and when it was used up."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.http.budgets import store
from ossature.kernel.http.budgets.domain import Counts
from tests.journeys.stage import Stage, open_stage

pytestmark = [pytest.mark.journey, pytest.mark.slow]

BROKEN = ("GET", "/v1/dispatch/board")
TIGHT = ("GET", "/v1/hub/providers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("product")


@pytest.fixture(scope="module")
def stage(folder: Path) -> Iterator[Stage]:
    with open_stage(folder, environment={"OSSATURE_HTTP_BUDGET_WRITE_S": "1"}) as stage:
        with ThreadPoolExecutor(1) as beside:  # the browser has a loop of its own here
            beside.submit(asyncio.run, _live_through_a_month(folder)).result()
        yield stage


async def _live_through_a_month(folder: Path) -> None:
    """Four weeks of one route that was away for a day, and of one that was slow too often."""
    database = Database(DatabaseSettings(url=f"sqlite:///{folder / 'var' / 'ossature.db'}"))
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    rows = {}
    for back in range(24, 28 * 24):
        hour = now - timedelta(hours=back)
        away = 80 if 10 * 24 <= back < 11 * 24 else 0
        rows[hour, *BROKEN] = Counts(requests=200, slow=3, failed=away, unavailable=away)
        rows[hour, *TIGHT] = Counts(requests=100, slow=4)
    async with database.begin() as db:
        await store.add(db, rows)
    await database.close()


def test_the_budget_that_is_used_up_most_stands_first(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/levels")
    rows = page.get_by_role("row")

    expect(rows.nth(1)).to_contain_text(" ".join(BROKEN))
    expect(rows.nth(1)).to_contain_text("0%")
    expect(rows.nth(2)).to_contain_text(" ".join(TIGHT))
    expect(rows.nth(2).get_by_role("meter", name="Speed left: 20% left")).to_be_visible()
    expect(rows.nth(1).locator(".o-strip i")).to_have_count(30)
    expect(rows.nth(1).locator(".o-strip i.o-bad")).not_to_have_count(0)
    watched.picture("levels-light")
    assert watched.faults == []
    context.close()


def test_what_is_asked_now_is_counted(stage: Stage) -> None:
    context = stage.context()
    page = stage.watched(context).go("/levels/route?route=GET%20/v1/dispatch/drivers")
    expect(page.get_by_text("no requests in 30 days").first).to_be_visible()
    for _ in range(7):
        assert stage.product.ask("GET", "/v1/dispatch/drivers")[0] == 200

    newest = page.get_by_role("row").nth(1).get_by_role("cell").nth(1)
    for _ in range(30):
        page.reload()
        page.wait_for_function("window.did_handshake === true")
        if newest.count() and newest.inner_text() == "7":
            break
        page.wait_for_timeout(1000)
    expect(newest).to_have_text("7")
    context.close()


def test_a_route_tells_when_its_budget_was_used_up(stage: Stage) -> None:
    context = stage.context(dark=True)
    watched = stage.watched(context)
    page = watched.go("/levels")
    page.get_by_role("link", name=" ".join(BROKEN)).click()

    expect(page.get_by_role("heading", name=" ".join(BROKEN))).to_be_visible()
    expect(page.get_by_text("1,920 of 1,296 that may miss it").first).to_be_visible()
    expect(page.get_by_text(re.compile("^Of 100 answers 95 take no longer than"))).to_be_visible()
    watched.picture("level-dark")
    assert watched.faults == []
    context.close()


def test_who_does_not_run_the_platform_sees_no_levels(stage: Stage) -> None:
    context = stage.context(who="vic@example.com")
    page = stage.watched(context).go("/")

    expect(page.get_by_role("link", name="Service levels")).to_have_count(0)
    context.close()
