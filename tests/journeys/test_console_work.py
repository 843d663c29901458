"""Finding one's way in the console, work that is seen to advance, and moving between tenants."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.stage import PASSWORD, Stage, open_stage
from tests.journeys.workshop import STEPS, nail

pytestmark = [pytest.mark.journey, pytest.mark.slow]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("product"), module="tests.journeys.workshop") as stage:
        yield stage


def palette(page: Page, text: str) -> None:
    """Open the palette as one does who knows it, and type."""
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name=re.compile("Search, or"))).to_be_focused()
    page.keyboard.type(text, delay=20)


def test_a_schedule_is_run_from_the_palette_and_a_note_shows_how_far_it_is_until_it_is_done(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/keys")
    nail(stage.product.folder, 1)

    palette(page, "workshop")
    watched.picture("palette-light")
    expect(page.get_by_role("option", name=re.compile("workshop.build.*Run now")).first).to_be_visible()
    page.get_by_role("option", name=re.compile("workshop.build.*Run now")).first.click()

    note = page.get_by_role("region", name="Work under way")
    bar = note.get_by_role("progressbar", name="Progress of workshop.build")
    expect(note).to_contain_text("plank 2 of 8")
    first = int(bar.get_attribute("aria-valuenow") or 0)
    watched.picture("toast-light")
    page = watched.go("/jobs?of=house")  # the note goes along to the next page
    nail(stage.product.folder, 5)
    expect(note).to_contain_text("plank 6 of 8")
    assert int(bar.get_attribute("aria-valuenow") or 0) > first
    watched.picture("jobs-running-light")
    nail(stage.product.folder, STEPS)
    expect(note).to_contain_text("Done")
    expect(bar).to_have_attribute("aria-valuenow", "100")
    expect(note.get_by_role("progressbar")).to_have_count(0)  # and goes away by itself
    assert watched.faults == []
    context.close()


def test_the_list_of_jobs_goes_on_by_itself(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/jobs?of=house&name=workshop.build")
    nail(stage.product.folder, 0)

    status, said = stage.product.ask("POST", "/v1/schedules/workshop.build/run")
    assert status == 202
    row = page.get_by_role("row").filter(has=page.locator(f'a[href$="{said["job_id"]}"]'))
    expect(row).to_contain_text("Running")
    for planks in (2, 4, 6):
        nail(stage.product.folder, planks)
        expect(row).to_contain_text(f"plank {planks + 1} of 8")
    nail(stage.product.folder, STEPS)
    expect(row).to_contain_text("Done")
    assert watched.faults == []
    context.close()


def test_the_palette_finds_things_and_is_walked_with_the_keyboard(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/")
    job = stage.product.ask("POST", "/v1/schedules/files.sweep/run")[1]["job_id"]
    key = stage.product.key

    for text, found in (
        (job, "files.sweep"),
        ("open-meteo", "Open-Meteo"),
        (key[:8], "first administrator"),
        ("OSSATURE_HTTP_SERVER", "OSSATURE_HTTP_SERVER"),
        ("schedule/files.sweep", "schedule/files.sweep"),
    ):
        palette(page, text)
        expect(page.get_by_role("option").filter(has_text=found).first).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("combobox", name=re.compile("Search, or"))).to_have_count(0)

    palette(page, "audit")
    expect(page.get_by_role("option", name=re.compile("Audit trail"))).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/console/audit$"))
    page.wait_for_function("window.did_handshake === true")
    palette(page, "zzz nothing")
    expect(page.get_by_role("status")).to_contain_text("Nothing fits")
    page.keyboard.press("Escape")
    palette(page, "dark")
    expect(page.get_by_role("option", name="Theme: dark")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert watched.faults == []
    context.close()


def test_a_viewer_finds_nothing_that_is_not_for_them(stage: Stage) -> None:
    context = stage.context(who="vic@example.com")
    watched = stage.watched(context)
    page = watched.go("/")

    palette(page, stage.product.key[:8])
    expect(page.get_by_role("status")).to_contain_text("Nothing fits")
    page.keyboard.press("Escape")
    palette(page, "files.sweep")
    expect(page.get_by_role("option", name=re.compile("all jobs of this kind")).first).to_be_visible()
    expect(page.get_by_role("option", name=re.compile("Run now"))).to_have_count(0)
    assert watched.faults == []
    context.close()


def test_an_administrator_acts_for_another_tenant_sees_only_that_and_is_there_again_next_time(stage: Stage) -> None:
    assert stage.product.ask("POST", "/v1/tenants", {"slug": "acme", "name": "Acme"})[0] == 201
    user = {"email": "pia@example.com", "name": "Pia", "roles": ["platform_admin"], "password": PASSWORD}
    assert stage.product.ask("POST", "/v1/auth/users", user)[0] == 201
    context = stage.browser.new_context(viewport={"width": 1440, "height": 900})
    watched = stage.watched(context)
    page = watched.page

    def sign_in() -> None:
        page.goto(f"{stage.product.url}/console/keys")
        page.locator("#by-password").get_by_label("E-mail").fill("pia@example.com")
        page.locator("#by-password").get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="API keys")).to_be_visible()
        page.wait_for_function("window.did_handshake === true")

    sign_in()
    expect(page.get_by_role("row", name=re.compile("first administrator"))).to_be_visible()
    page.get_by_title("Act for another tenant or project").click()
    expect(page.get_by_role("combobox", name=re.compile("Search, or"))).to_be_focused()
    page.keyboard.type("acme", delay=20)
    watched.picture("places-light")
    page.get_by_role("option", name=re.compile("Acme")).click()

    expect(page).to_have_url(re.compile(r"/console/$"))
    expect(page.get_by_text("Tenant Acme")).to_be_visible()
    page = watched.go("/keys")
    expect(page.get_by_role("heading", name="API keys")).to_be_visible()
    assert "first administrator" not in page.content()
    palette(page, stage.product.key[:8])
    expect(page.get_by_role("status")).to_contain_text("Nothing fits")
    page.keyboard.press("Escape")
    watched.picture("tenant-other-light")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile(r"/sign-in"))
    sign_in()
    expect(page.get_by_title("Act for another tenant or project")).to_contain_text("Acme")
    assert watched.faults == []
    context.close()


def test_every_figure_of_the_first_page_leads_to_what_it_is_made_of_and_that_can_be_taken_away(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    for _ in range(3):
        stage.product.ask("GET", "/v1/auth/me")
    page = watched.go("/")
    expect(page.get_by_role("link", name=re.compile("Requests"))).to_be_visible()

    figures = page.locator(".o-reading")
    paths = [figure.get_attribute("href") for figure in figures.all()]
    assert paths == [
        "/console/traffic?span=minute",
        "/console/traffic?by=failed",
        "/console/traffic?span=minute&by=p95",
        "/console/cost",
        "/console/jobs?of=house",
    ]
    page.locator(".o-unit-box").first.click()
    expect(page).to_have_url(re.compile(r"/console/health#part-"))
    page = watched.go("/traffic")
    expect(page.get_by_role("row").filter(has_text="GET /v1/auth/me")).to_be_visible()
    watched.picture("traffic-light")
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    rows = json.loads(Path(download.value.path()).read_text())
    assert any(row["Route"] == "GET /v1/auth/me" for row in rows)
    page = watched.go("/cost")
    expect(page.get_by_role("button", name="CSV")).to_be_visible()
    watched.picture("cost-light")
    assert watched.faults == []
    context.close()


def test_a_refusal_names_the_request_under_which_the_log_has_it(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.page

    page.goto(f"{stage.product.url}/console/jobs/00000000-0000-7000-8000-000000000000")

    expect(page.get_by_text(re.compile(r"^Request [0-9a-f-]{36}$"))).to_be_visible()
    expect(page.get_by_role("link", name="Back to the overview")).to_be_visible()
    watched.picture("problem-light")
    context.close()
