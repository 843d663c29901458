"""A person's way through the console: a real browser at a really started product, with nothing from outside."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Request, expect

from tests.journeys.stage import PAGES, PASSWORD, Stage, open_stage

pytestmark = [pytest.mark.journey, pytest.mark.slow]

MOST_BYTES = 1_500_000


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("product")) as stage:
        yield stage


def test_nobody_gets_in_without_signing_in_and_a_wrong_password_is_told(stage: Stage) -> None:
    context = stage.browser.new_context(viewport={"width": 1440, "height": 900})
    watched = stage.watched(context)
    page = watched.page

    page.goto(f"{stage.product.url}/console/jobs")
    expect(page).to_have_url(re.compile(r"/console/sign-in\?next=/console/jobs"))
    watched.picture("sign-in-light")
    page.locator("#by-password").get_by_label("E-mail").fill("ada@example.com")
    page.locator("#by-password").get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Sign-in refused")
    page.locator("#by-password").get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page).to_have_url(re.compile(r"/console/jobs$"))
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile(r"/console/sign-in$"))
    page.goto(f"{stage.product.url}/console/keys")
    expect(page).to_have_url(re.compile(r"/console/sign-in\?next="))
    assert watched.faults == []
    context.close()


def test_an_api_key_opens_the_console_too(stage: Stage) -> None:
    context = stage.browser.new_context()
    watched = stage.watched(context)
    page = watched.page

    page.goto(f"{stage.product.url}/")
    page.get_by_role("button", name="Use an API key instead").click()
    page.get_by_label("API key").fill(stage.product.key)
    page.locator("#by-key").get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert watched.faults == []
    context.close()


@pytest.mark.parametrize(
    ("look", "dark", "phone"), [("light", False, False), ("dark", True, False), ("phone", False, True)]
)
def test_every_page_is_drawn_without_a_fault_and_asks_nobody_outside(
    stage: Stage, look: str, dark: bool, phone: bool
) -> None:
    context = stage.context(dark=dark, phone=phone)
    watched = stage.watched(context)

    for path in PAGES:
        page = watched.go(path)
        expect(page.locator("h1").first).to_be_visible()
        watched.picture(f"{path.strip('/').replace('/', '-').replace('?', '-').replace('=', '-') or 'home'}-{look}")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} is wider than the screen by {wide} px"

    assert watched.faults == []
    context.close()


def test_the_first_page_is_small_enough_for_a_slow_line(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    finished: list[Request] = []
    watched.page.on("requestfinished", lambda request: finished.append(request))  # noqa: PLW0108 - it is marked

    watched.go("/")
    watched.page.wait_for_load_state("networkidle")

    assert 100_000 < sum(request.sizes()["responseBodySize"] for request in finished) <= MOST_BYTES
    context.close()


def test_a_new_key_is_shown_once_and_works_until_it_is_revoked(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/keys")

    page.get_by_role("button", name="New key").first.click()
    page.get_by_label("Name").fill("nightly import")
    watched.picture("keys-new-light")
    page.get_by_role("button", name="Create").click()
    secret = page.locator(".o-secret").inner_text()
    assert secret.startswith("oss_")
    watched.picture("keys-secret-light")
    page.get_by_role("button", name="I have kept it").click()

    row = page.get_by_role("row", name=re.compile("nightly import"))
    expect(row).to_contain_text("Active")
    assert secret not in page.content()
    mine = {"Authorization": f"Bearer {secret}"}
    assert stage.product.ask("GET", "/v1/auth/me", headers=mine)[0] == 200
    row.get_by_role("button", name="Revoke").click()
    page.locator(".o-sheet").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("row", name=re.compile("nightly import"))).to_contain_text("Revoked")
    assert stage.product.ask("GET", "/v1/auth/me", headers=mine)[0] == 401
    assert watched.faults == []
    context.close()


def test_a_dialog_stays_while_the_list_below_it_is_drawn_anew(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/keys")

    page.get_by_role("row", name=re.compile("first administrator")).get_by_role("button", name="Rotate").click()
    page.evaluate("document.querySelector('.o-table tbody tr').dataset.old = 'yes'")
    page.wait_for_function("document.querySelector('[data-old]') === null")  # drawn anew, every ten seconds

    expect(page.locator(".o-sheet")).to_contain_text("Rotate first administrator?")
    page.locator(".o-sheet").get_by_role("button", name="Cancel").click()
    expect(page.locator(".o-sheet")).to_have_count(0)
    assert watched.faults == []
    context.close()


def test_a_part_of_a_page_is_not_drawn_anew_while_the_keyboard_is_in_it(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/jobs?of=house")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.locator(".o-table a").first.focus()
    page.keyboard.press("Tab")
    held = page.evaluate("document.activeElement.id")

    page.wait_for_timeout(4_000)  # the list is drawn every three seconds

    assert page.evaluate("document.activeElement.id") == held
    assert page.locator(".o-table a").nth(1).evaluate("(link) => link === document.activeElement")
    context.close()


def test_a_schedule_is_run_now_and_its_job_is_seen_to_end(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/schedules")

    page.get_by_role("row", name=re.compile("files.sweep")).get_by_role("button", name="Run now").click()

    expect(page).to_have_url(re.compile(r"/console/jobs/[0-9a-f-]{36}"))
    expect(page.locator(".o-facts").get_by_text("Done")).to_be_visible()
    watched.picture("job-light")
    assert watched.faults == []
    context.close()


def test_an_endpoint_gets_its_test_message_and_the_log_says_so(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/webhooks")

    page.get_by_role("button", name="New endpoint").first.click()
    page.get_by_label("Address").fill(stage.receiver.url)
    page.get_by_role("button", name="Create").click()
    assert page.locator(".o-secret").inner_text().startswith("whsec_")
    page.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_role("button", name="Send a test")).to_be_visible()
    page.wait_for_function("window.did_handshake === true")
    page.get_by_role("button", name="Send a test").click()

    row = page.get_by_role("row", name=re.compile("webhook.test"))
    expect(row).to_contain_text("Delivered")
    row.get_by_role("button", name="Look").click()
    expect(page.locator(".o-sheet")).to_contain_text("This is a test.")
    watched.picture("webhook-light")
    assert any(b"This is a test." in body for _, body in stage.receiver.received)
    assert watched.faults == []
    context.close()


def test_the_chain_of_the_audit_trail_is_verified_and_an_entry_can_be_read(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/audit?action=user.created")

    page.get_by_role("button", name="Verify the chain").click()
    expect(page.get_by_text(re.compile(r"Intact: .* entries were read"))).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(3)
    page.get_by_role("row", name=re.compile("user.created")).first.get_by_role("button").click()

    expect(page.locator(".o-sheet")).to_contain_text("Hash")
    watched.picture("audit-entry-light")
    assert watched.faults == []
    context.close()


def test_the_playground_asks_for_data_and_shows_who_answered(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/playground?operation=weather.current")

    page.get_by_role("button", name="Ask").click()

    expect(page.get_by_text("Status 200")).to_be_visible()
    expect(page.get_by_text("temperature_c")).to_be_visible()
    expect(page.locator(".o-code").last).to_contain_text("curl -sS -X POST")
    watched.picture("playground-answer-light")
    page.get_by_label("latitude").fill("91")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("Status 422")).to_be_visible()
    assert watched.faults == []
    context.close()


def test_the_playground_streams_a_conversation(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)
    page = watched.go("/playground?tab=chat")

    page.get_by_label("Message").fill("Hello, who are you?")
    page.get_by_role("button", name="Send").click()

    expect(page.get_by_text(re.compile("first word after"))).to_be_visible()
    assert len(page.locator(".o-theirs").inner_text()) > 3
    watched.picture("playground-chat-light")
    assert watched.faults == []
    context.close()


def test_a_provider_that_is_switched_off_is_passed_by_until_it_is_switched_on(stage: Stage) -> None:
    context = stage.context()
    watched = stage.watched(context)

    page = watched.go("/providers/open_meteo")
    page.get_by_role("button", name="Switch off").click()
    page.locator(".o-sheet").get_by_role("button", name="Switch off").click()
    expect(page.get_by_role("button", name="Switch on")).to_be_visible()
    page = watched.go("/route?operation=weather.current")
    expect(page.locator(".o-why").filter(has_text="switched off")).to_be_visible()
    page = watched.go("/providers/open_meteo")
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("button", name="Switch off")).to_be_visible()
    page = watched.go("/route?operation=weather.current")

    expect(page.locator(".o-parts").first).to_be_visible()
    watched.picture("route-answer-light")
    assert watched.faults == []
    context.close()


def test_a_viewer_sees_no_page_that_is_not_for_them(stage: Stage) -> None:
    context = stage.context(who="vic@example.com")
    watched = stage.watched(context)
    page = watched.go("/")

    expect(page.get_by_role("link", name="Jobs")).to_be_visible()
    expect(page.get_by_role("link", name="API keys")).to_have_count(0)
    answer = page.goto(f"{stage.product.url}/console/keys")
    assert answer is not None
    assert answer.status == 403
    expect(page.get_by_text("Permission denied")).to_be_visible()
    assert watched.faults == []
    context.close()


def test_a_list_can_be_taken_away_as_a_file(stage: Stage) -> None:
    context = stage.context()
    page = stage.watched(context).go("/schedules")

    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()

    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("Schedule,Plan,")
    assert any(line.startswith("files.sweep,") for line in lines)
    context.close()


def test_an_unknown_page_says_so_within_the_console(stage: Stage) -> None:
    context = stage.context()
    page = stage.watched(context).page

    answer = page.goto(f"{stage.product.url}/console/nowhere")

    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_text("Not found")).to_be_visible()
    context.close()


def test_a_page_that_lies_open_ends_with_the_session(stage: Stage) -> None:
    context = stage.context(who="vic@example.com")
    page = stage.watched(context).go("/jobs")

    assert stage.product.ask("GET", "/v1/auth/users")[0] == 200
    users = stage.product.ask("GET", "/v1/auth/users")[1]["items"]
    vic = next(user["id"] for user in users if user["email"] == "vic@example.com")
    assert stage.product.ask("PATCH", f"/v1/auth/users/{vic}", {"active": False})[0] == 200

    expect(page).to_have_url(re.compile(r"/console/sign-in\?next="))
    context.close()
