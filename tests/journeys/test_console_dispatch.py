"""A dispatcher at work in the console: takes a booking, plans the day, looks at it, publishes it, calls a trip off."""

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.journeys.product import until
from tests.journeys.stage import PASSWORD, Stage, Watched, open_stage
from tests.journeys.test_console_work import palette
from tests.journeys.test_faces import GRAVE, RULES

pytestmark = [pytest.mark.journey, pytest.mark.slow]

DORA = "dora@example.com"
BOARD = "/dispatch/board?day=tomorrow"
PLANNED_MS = 60_000


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("product")) as stage:
        user = {"email": DORA, "name": "Dora", "roles": ["dispatcher"], "password": PASSWORD}
        assert stage.product.ask("POST", "/v1/auth/users", user)[0] == 201
        yield stage


@pytest.fixture(autouse=True)
def planned(stage: Stage) -> None:
    """A day of the demo that has a plan, whatever the tests before did to it."""
    product = stage.product
    until(lambda: bool(product.ask("GET", "/v1/dispatch/plans")[1]["items"]), "the demo was not planned")
    day = product.ask("GET", "/v1/dispatch/plans")[1]["items"][0]["day"]

    def holds() -> bool:
        return product.ask("GET", f"/v1/dispatch/board?day={day}")[1]["plan"] is not None

    if not holds():
        assert product.ask("POST", "/v1/dispatch/plans", {"day": day, "time_limit_s": 0.5})[0] == 202
        until(holds, "the day was not planned again")


def _board(watched: Watched) -> Page:
    """The board of the day that has a plan."""
    page = watched.go(BOARD)
    expect(page.get_by_role("button", name="Plan it again")).to_be_visible(timeout=PLANNED_MS)
    return page


def _violations(page: Page) -> list[str]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


def _pick(page: Page, label: str, option: str) -> None:
    page.get_by_label(label).click()
    page.get_by_role("option", name=option).click()


def test_a_booking_by_phone_is_planned_seen_to_be_planned_and_published(stage: Stage) -> None:
    context = stage.context(who=DORA)
    watched = stage.watched(context)
    page = _board(watched)

    page = watched.go("/dispatch/book?day=tomorrow&q=client+7")
    page.get_by_role("link", name="Client 7", exact=True).click()
    expect(page.get_by_label("From")).to_be_visible()
    page.wait_for_function("window.did_handshake === true")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_text("This is needed.").first).to_be_visible()
    page.get_by_label("From").fill("7 Demo Street")
    page.get_by_label("To", exact=True).fill("Lake hospital")
    page.get_by_label("Time", exact=True).fill("10:30")
    _pick(page, "Return", "When they call")
    watched.picture("dispatch-book-light")
    assert _violations(page) == []
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page).to_have_url(re.compile(r"/dispatch/bookings/[0-9a-f-]{36}$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Client 7")
    expect(page.locator("#trip-2")).to_contain_text("when called")

    page = _board(watched)
    expect(page.locator("#left-over")).to_contain_text("It waits for the next plan.")
    page.get_by_role("button", name="Plan it again").click()
    bar = page.get_by_role("progressbar", name="Progress of the plan")
    expect(bar).to_have_attribute("aria-valuenow", "20", timeout=PLANNED_MS)
    expect(page.get_by_text("looks for the best plan")).to_be_visible()
    watched.picture("dispatch-planning-light")
    expect(page.get_by_role("button", name="Publish")).to_be_visible(timeout=PLANNED_MS)
    expect(page.locator("#left-over")).to_contain_text("It has no time yet: it waits to be called in.")
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    expect(page.get_by_role("row").filter(has_text="Published").filter(has_text="No.")).to_have_count(1)
    expect(page.locator(".o-ride.o-is-good").first).to_be_visible()

    page.get_by_role("row").filter(has_text="Replaced").get_by_role("link").first.click()
    expect(page.get_by_text("which does not hold any more.")).to_be_visible()
    page.get_by_role("link", name="Back to the one that holds").click()
    expect(page.get_by_text("which does not hold any more")).to_have_count(0)
    assert watched.faults == []
    context.close()


def test_planning_is_stopped_and_a_draft_is_thrown_away(stage: Stage) -> None:
    context = stage.context(who=DORA)
    watched = stage.watched(context)
    page = _board(watched)

    page.get_by_role("button", name="Plan it again").click()
    page.get_by_role("button", name="Stop planning").click()
    expect(page.get_by_text("Planning was stopped; nothing of it is kept.")).to_be_visible()
    expect(page.get_by_role("button", name="Plan it again")).to_be_visible(timeout=PLANNED_MS)

    page.get_by_role("button", name="Plan it again").click()
    expect(page.get_by_role("button", name="Discard")).to_be_visible(timeout=PLANNED_MS)
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    expect(page.get_by_role("row").filter(has_text="Discarded").first).to_be_visible()
    assert watched.faults == []
    context.close()


def test_a_trip_is_called_off_for_a_reason_that_stays_in_its_history(stage: Stage) -> None:
    context = stage.context(who=DORA)
    watched = stage.watched(context)
    page = watched.go("/dispatch/bookings?q=client+9&day=tomorrow")

    page.get_by_role("link", name="Client 9", exact=True).click()
    trip = page.locator("#trip-2")
    trip.get_by_role("button", name="Cancel the trip").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("button", name="Cancel the trip").click()
    expect(sheet.get_by_text("A reason is needed.")).to_be_visible()
    sheet.get_by_label("Reason").fill("She is <b>well</b> again")
    sheet.get_by_role("button", name="Cancel the trip").click()

    expect(trip.get_by_role("row").last).to_contain_text("She is <b>well</b> again")
    expect(trip.get_by_role("button")).to_have_count(0)
    page = watched.go("/dispatch/bookings?state=off")
    expect(page.get_by_role("row").filter(has_text="Client 9")).to_be_visible()
    assert watched.faults == []
    context.close()


def test_the_board_is_looked_at_by_duty_and_as_a_table_and_leads_to_the_bookings(stage: Stage) -> None:
    context = stage.context(who=DORA)
    watched = stage.watched(context)
    page = _board(watched)

    page.get_by_role("group", name="Map").get_by_role("link").first.click()
    expect(page.locator(".o-lane")).to_have_count(1)
    expect(page.get_by_role("group", name="Map").get_by_role("link").first).to_have_attribute(
        "aria-label", re.compile(r"^\d+\. \d\d:\d\d (pickup|drop-off) Client")
    )
    watched.picture("dispatch-duty-light")
    assert _violations(page) == []
    page.get_by_role("link", name="As a table").click()
    expect(page.get_by_role("columnheader", name="On board afterwards")).to_be_visible()
    assert _violations(page) == []
    page.get_by_role("link", name="All duties").click()
    rows = page.locator(".o-panel").filter(has=page.get_by_role("heading", name="Stops")).locator("tbody tr")
    expect(rows.filter(has_text="pickup").nth(40)).to_be_visible()

    page = _board(watched)
    ride = page.locator("a.o-ride").first
    ride.focus()
    expect(ride).to_have_attribute("aria-label", re.compile(r"^Client \d+, \d\d:\d\d to \d\d:\d\d: 1 "))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/dispatch/bookings/[0-9a-f-]{36}#trip-\d$"))
    assert watched.faults == []
    context.close()


def test_drivers_vehicles_and_their_shifts_are_found(stage: Stage) -> None:
    context = stage.context(who=DORA)
    watched = stage.watched(context)
    page = watched.go("/dispatch/drivers?day=tomorrow")

    shifts = page.locator(".o-panel").filter(has_text="Shifts of")
    expect(shifts.locator("tbody tr")).to_have_count(5)
    assert _violations(page) == []
    page.get_by_label("Name or number").fill("DEMO-2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Clear")).to_be_visible()
    page.locator("a[href*='/dispatch/drivers/']").filter(has_text="Driver 2").last.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Driver 2")
    page.get_by_role("link", name="Van 2").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Van 2")
    expect(page.get_by_text("2 seats, 1 wheelchair", exact=True)).to_be_visible()
    watched.picture("dispatch-vehicle-light")
    assert _violations(page) == []

    palette(page, "client 11")
    expect(page.get_by_role("option", name=re.compile("^Client 11"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("combobox", name=re.compile("Search, or"))).to_have_count(0)
    palette(page, "tomorrow")
    page.get_by_role("option", name=re.compile("^Board of")).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Day board")
    assert watched.faults == []
    context.close()


ROWS = """external_id;date;time;time_rule;client_ref;last_name;from;to
{id}-1;2031-03-03;10:00;arrive_by;DEMO-1;Client 1;1 Demo Street;North clinic
{id}-2;2031-03-03;25:00;arrive_by;DEMO-2;Client 2;2 Demo Street;North clinic
"""


def test_a_file_is_looked_through_row_by_row_and_its_good_rows_are_booked(stage: Stage, tmp_path: Path) -> None:
    context = stage.context(who=DORA)
    watched = stage.watched(context)
    file = tmp_path / "march.csv"
    file.write_text(ROWS.format(id=uuid4()))
    page = watched.go("/dispatch/imports")

    page.get_by_role("button", name="Look through it").click()
    expect(page.get_by_text("Choose a file first.")).to_be_visible()
    page.wait_for_timeout(500)  # until it has faded in
    assert _violations(page) == []
    page.get_by_label("CSV file, at most 10 MB").set_input_files(file)
    page.get_by_role("button", name="Look through it").click()
    expect(page).to_have_url(re.compile(r"/dispatch/imports/[0-9a-f-]{36}$"))
    fault = page.get_by_role("row").filter(has_text="Write a time such as 09:15.")
    expect(fault.get_by_role("cell").first).to_have_text("3", timeout=PLANNED_MS)
    watched.picture("dispatch-import-light")
    page.get_by_role("button", name="Book the one good row").click()
    page.get_by_role("dialog").get_by_role("button", name="Book them").click()
    expect(page.locator("dd").filter(has_text="Booked")).to_be_visible(timeout=PLANNED_MS)
    expect(page.get_by_role("button", name=re.compile("good row"))).to_have_count(0)
    page = watched.go("/dispatch/bookings?day=2031-03-03")
    expect(page.get_by_role("link", name="Client 1", exact=True)).to_be_visible()
    assert watched.faults == []
    context.close()


def test_a_planner_reads_the_board_without_the_names_of_clients_and_without_its_buttons(stage: Stage) -> None:
    user = {"email": "paul@example.com", "name": "Paul", "roles": ["planner"], "password": PASSWORD}
    assert stage.product.ask("POST", "/v1/auth/users", user)[0] == 201
    context = stage.context(who="paul@example.com")
    watched = stage.watched(context)
    page = watched.go(BOARD)

    expect(page.locator("a.o-ride").first).to_be_visible(timeout=PLANNED_MS)
    expect(page.get_by_role("button", name=re.compile("Plan|Publish|Discard"))).to_have_count(0)
    assert "Client" not in page.locator("#content").inner_text()
    page = watched.go("/dispatch/book")
    expect(page.get_by_role("link", name="Back to the overview")).to_be_visible()
    context.close()


def test_whatever_stands_in_an_address_is_no_fault_of_ours(stage: Stage) -> None:
    context = stage.context(who=DORA)
    key = "00000000-0000-7000-8000-000000000000"
    moment = "2026-03-01T10:00:00"
    odd = {
        "bookings": (
            "after=abc",
            f"after={moment}~{key}",
            f"after={moment}%2B00:00~{key}",
            "q=%00%25",
            "day=9999-12-31",
        ),
        "board": ("day=0001-01-01", "day=x", "duty=x", "plan=x", f"plan={key}", f"duty={key}"),
        "drivers": (f"after=%00~{key}", "day=9999-12-31"),
        "imports": ("after=x", f"after={moment}~{key}"),
        "book": ("client=x", f"client={key}", "q=%00"),
    }

    for page, queries in odd.items():
        for query in queries:
            answer = context.request.get(f"{stage.product.url}/console/dispatch/{page}?{query}")
            assert answer.status < 500, f"{page}?{query}"
    context.close()


@pytest.mark.parametrize(
    ("dark", "phone", "language"),
    [(True, False, "en-US"), (False, True, "en-US"), (False, True, "he-IL")],
    ids=["dark", "phone", "hebrew-phone"],
)
def test_every_look_of_the_board_and_a_booking_is_without_grave_faults(
    stage: Stage, dark: bool, phone: bool, language: str
) -> None:
    context = stage.context(dark=dark, phone=phone, language=language)
    watched = stage.watched(context)
    name = f"{'phone' if phone else 'wide'}-{'dark' if dark else language}"

    page = watched.go(BOARD)
    expect(page.locator(".o-map")).to_be_visible(timeout=PLANNED_MS)
    watched.picture(f"dispatch-board-{name}")
    assert _violations(page) == []
    booking = page.locator("a.o-ride").first.get_attribute("href") or ""
    page = watched.go(booking.removeprefix("/console").partition("#")[0])
    watched.picture(f"dispatch-booking-{name}")
    assert _violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert watched.faults == []
    context.close()
