"""Flags in a browser: one is made, killed and revived, and an experiment shows what it has shown."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.journeys.stage import Stage, open_stage

pytestmark = [pytest.mark.journey, pytest.mark.slow]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("product")) as stage:
        yield stage


def test_a_flag_is_made_killed_with_a_reason_and_revived(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/flags")
    expect(page.get_by_role("link", name="demo.form")).to_be_visible()
    watched.picture("flags-light")

    page.get_by_role("button", name="New flag").first.click()
    page.get_by_label("Name").fill("board.new")
    page.get_by_label("What it is for").fill("The new board")
    page.get_by_label("For how many per cent it is on").fill("25")
    page.get_by_role("button", name="Create").click()
    expect(page).to_have_url(re.compile(r"/console/flags/own/board.new$"))
    expect(page.get_by_text("off 75%, on 25%")).to_be_visible()

    page.get_by_role("button", name="Kill", exact=True).click()
    page.get_by_label("Why").fill("it shows nothing")
    page.get_by_role("button", name="Kill", exact=True).last.click()
    expect(page.get_by_text("it shows nothing")).to_be_visible()
    assert stage.product.ask("GET", "/v1/flags/board.new")[1]["killed_why"] == "it shows nothing"
    watched.picture("flag-killed-light")
    page.get_by_role("button", name="Revive").click()
    expect(page.get_by_text("it shows nothing")).to_have_count(0)
    assert stage.product.ask("GET", "/v1/flags/board.new")[1]["killed_at"] is None
    assert watched.faults == []
    context.close()


def test_an_experiment_shows_its_rates_and_their_difference(stage: Stage) -> None:
    context = stage.context(dark=True)
    watched = stage.watched(context)
    page = watched.go("/flags/own/demo.form")

    expect(page.get_by_role("img", name="Rates with their 95 % intervals")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Against long")).to_be_visible()
    arms = stage.product.ask("GET", "/v1/flags/demo.form/results")[1]["arms"]
    for arm in arms:
        row = page.get_by_role("row").filter(has_text=re.compile(f"^{arm['variant']}"))
        expect(row).to_contain_text(str(arm["shown"]))
        expect(row).to_contain_text(str(arm["reached"]))
    watched.picture("experiment-dark")
    assert watched.faults == []
    context.close()


def test_who_may_only_look_finds_no_flags(stage: Stage) -> None:
    context = stage.context(who="vic@example.com")
    page = stage.watched(context).go("/")

    expect(page.get_by_role("link", name="Traffic")).to_have_count(0)
    expect(page.get_by_role("link", name="Flags")).to_have_count(0)
    context.close()
