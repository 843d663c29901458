"""A round in the console: what is predicted of it, what was predicted of the last one, and the proof of both."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.journeys.stage import Stage, open_stage

pytestmark = [pytest.mark.journey]

WAIT_MS = 60_000


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("product")) as stage:
        yield stage


def test_the_next_round_is_predicted_and_the_last_one_can_be_proved(stage: Stage) -> None:
    expect.set_options(timeout=WAIT_MS)
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/predict/matches")
    to_come = page.get_by_role("row").filter(has_text="may change")

    expect(to_come).to_have_count(8)
    expect(page.get_by_text("A simulated league")).to_be_visible()
    expect(to_come.first.get_by_role("img", name=re.compile(r"Home \d+%, Draw \d+%, Away \d+%"))).to_be_visible()

    page.get_by_role("link", name="Played").click()
    played = page.get_by_role("row").filter(has=page.get_by_text("official", exact=True))
    expect(played).to_have_count(32)
    expect(played.first).to_contain_text(re.compile(r"\d+ : \d+"))
    played.first.get_by_role("link").click()
    expect(page.get_by_role("table", name=re.compile("Chance of each score")).get_by_role("row")).to_have_count(7)
    expect(page.get_by_role("row", name=re.compile(r"at the result 0\.\d{4}"))).to_be_visible()
    page.get_by_role("button", name="Verify the chain").click()
    expect(page.get_by_text(re.compile(r"Intact: 40 rows"))).to_be_visible()
    watched.picture("predict-match-light")

    page = watched.go("/predict/reliability")
    expect(page.get_by_role("img", name=re.compile("How often what was said came true"))).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(11)
    watched.picture("predict-reliability-light")
    assert watched.faults == []
    context.close()


def test_a_team_is_found_by_typing(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/")

    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name=re.compile("Search, or"))).to_be_focused()
    page.keyboard.type("Team 1.0", delay=20)
    page.get_by_role("option", name=re.compile(r"Team 1\.0")).first.click()

    expect(page.get_by_role("heading", name=re.compile("Team 1.0"))).to_be_visible()
    assert watched.faults == []
    context.close()
