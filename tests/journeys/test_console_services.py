"""One morning in the console: the day board, the next round, and the changes that wait to be approved."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.journeys.product import until
from tests.journeys.stage import Stage, open_stage

pytestmark = [pytest.mark.journey]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("product")) as stage:
        product = stage.product
        until(lambda: bool(product.ask("GET", "/v1/dispatch/plans")[1]["items"]), "the demo's day was not planned")
        until(lambda: bool(product.ask("GET", "/v1/sync/plans")[1]["items"]), "the demo's plan of changes is not there")
        yield stage


def test_a_day_is_published_a_round_is_read_and_a_plan_is_approved_and_applied(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)

    page = watched.go("/dispatch/board?day=tomorrow")
    page.get_by_role("button", name="Publish", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    expect(page.get_by_text("published").first).to_be_visible()
    watched.picture("services-board")

    page = watched.go("/predict/matches")
    to_come = page.get_by_role("row").filter(has_text="may change")
    to_come.first.get_by_role("link").click()
    expect(page.get_by_role("table", name=re.compile("Chance of each score"))).to_be_visible()
    watched.picture("services-match")

    page = watched.go("/sync/plans")
    page.get_by_role("row").filter(has_text="blocked").first.get_by_role("link").first.click()
    page.get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("updates").fill("17")
    dialog.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("This plan is approved with updates=18.")).to_be_visible()  # nobody is surprised
    dialog.get_by_label("updates").fill("18")
    dialog.get_by_role("button", name="Approve").click()
    page.get_by_role("button", name="Apply", exact=True).click()
    page.wait_for_url(re.compile("/sync/runs/"))
    expect(page.get_by_text("succeeded").first).to_be_visible()
    watched.picture("services-run")
    assert watched.faults == []
    context.close()
