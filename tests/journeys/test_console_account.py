"""One's own account in a browser: a second factor is taken up, asked for at the door, and taken away with a paper code."""

import re
from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.stage import PASSWORD, Stage, open_stage

pytestmark = [pytest.mark.journey, pytest.mark.slow]

WHO = "vic@example.com"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("product")) as stage:
        yield stage


def sign_in(page: Page, code: str) -> None:
    """By the door: the password, then a code."""
    form = page.locator("#by-password")
    form.get_by_label("E-mail").fill(WHO)
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_role("button", name="Sign in").click()
    page.locator("#by-code input").fill(code)
    page.locator("#by-code").get_by_role("button", name="Sign in").click()


def test_a_second_factor_is_taken_up_asked_for_and_taken_away(stage: Stage) -> None:
    context = stage.context(who=WHO)
    watched = stage.watched(context)
    page = watched.go("/account")
    page.get_by_role("button", name="Turn on").click()
    page.get_by_role("textbox", name="Your password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("img", name="QR code for the authenticator app")).to_be_visible()
    watched.settle()
    watched.picture("second-factor-light")
    app = pyotp.TOTP(page.locator("code.o-mono").inner_text().strip())
    page.get_by_role("textbox", name="Code").fill(app.now())
    page.get_by_role("button", name="Confirm", exact=True).click()
    expect(page.get_by_text("Recovery codes: keep them where your phone is not")).to_be_visible()
    codes = re.findall(r"\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b", page.locator("body").inner_text())
    assert len(set(codes)) == 10
    watched.settle()
    watched.picture("recovery-codes-light")
    assert watched.faults == []
    context.close()

    context = stage.browser.new_context()
    watched = stage.watched(context)
    page = watched.page
    page.goto(f"{stage.product.url}/console/account")
    sign_in(page, "000 000" if app.now() != "000000" else "111 111")
    expect(page.get_by_role("alert")).to_contain_text("Second factor refused")
    watched.picture("sign-in-code-light")
    page.locator("#by-code input").fill(codes[0])
    page.locator("#by-code").get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/console/account$"))

    page.get_by_role("button", name="Turn off").click()
    page.get_by_role("textbox", name="Code").fill(codes[1])
    page.get_by_role("button", name="Confirm", exact=True).click()
    expect(page.get_by_text("Off: the password alone lets in")).to_be_visible()
    assert watched.faults == []
    context.close()
