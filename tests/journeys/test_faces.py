"""The console for everybody: four languages, the keyboard, good contrast, and a phone in the hand."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from ossature.kernel.i18n.language import LANGUAGES, speaking
from ossature.kernel.i18n.words import translate
from tests.journeys.stage import PAGES, Stage, open_stage

pytestmark = [pytest.mark.journey, pytest.mark.slow]

# What the law asks of public pages: WCAG 2.1, levels A and AA.
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
GRAVE = {"serious", "critical"}
LOOKS = [("light", False, "en-US"), ("dark", True, "en-US"), ("hebrew", False, "he-IL")]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("product")) as stage:
        yield stage


def _violations(page: Page) -> list[str]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{one['id']}: {node['target'][0]} {node['html'][:120]} {node['failureSummary'][:200]}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(("look", "dark", "language"), LOOKS, ids=[look for look, _, _ in LOOKS])
def test_no_page_has_a_grave_fault_by_wcag(stage: Stage, look: str, dark: bool, language: str) -> None:
    context = stage.context(dark=dark, language=language)
    watched = stage.watched(context)
    faults: dict[str, list[str]] = {}

    for path in PAGES:
        page = watched.go(path)
        page.wait_for_timeout(500)  # charts and fields are drawn a moment after they are there
        watched.settle()
        assert page.locator("html").get_attribute("data-theme") == ("dark" if dark else "light")
        watched.picture(f"axe-{path.strip('/').replace('/', '-').replace('?', '-').replace('=', '-') or 'home'}-{look}")
        if found := _violations(page):
            faults[path] = found

    assert faults == {}
    assert watched.faults == []
    context.close()


def test_the_tool_sees_grey_on_grey_and_a_field_without_a_name(stage: Stage) -> None:
    context = stage.browser.new_context()
    page = context.new_page()
    page.goto(f"{stage.product.url}/console/sign-in")
    page.evaluate(
        "document.querySelector('main').append(Object.assign(document.createElement('input'), { name: 'x' }))"
    )
    page.evaluate("document.querySelector('h1').style.color = '#ccc'")

    kinds = {one.partition(":")[0] for one in _violations(page)}

    assert kinds == {"color-contrast", "label"}
    context.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_sign_in_page_and_a_dialog_have_no_grave_fault_by_wcag(stage: Stage, dark: bool) -> None:
    out = stage.browser.new_context(color_scheme="dark" if dark else "light")
    page = out.new_page()
    page.goto(f"{stage.product.url}/console/sign-in")
    assert _violations(page) == []
    out.close()

    context = stage.context(dark=dark)
    watched = stage.watched(context)
    page = watched.go("/keys")
    page.get_by_role("button", name="New key").first.click()
    expect(page.get_by_label("Name")).to_be_visible()
    watched.settle()
    assert _violations(page) == []
    context.close()


def test_the_language_is_the_browsers_until_the_person_chooses_one_and_then_holds_everywhere(stage: Stage) -> None:
    context = stage.context(who="vic@example.com", language="fr-CH")
    watched = stage.watched(context)
    page = watched.go("/jobs")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.get_by_role("heading", level=1)).to_have_text("Tâches")
    expect(page).to_have_title("Tâches - ossature")

    page.get_by_label("Langue").select_option("de")
    expect(page.get_by_role("heading", level=1)).to_have_text("Aufträge")
    other = stage.context(who="vic@example.com", language="en-US")
    page = stage.watched(other).go("/jobs")
    expect(page.get_by_role("heading", level=1)).to_have_text("Aufträge")
    page.get_by_label("Sprache").select_option("en")
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")

    assert watched.faults == []
    context.close()
    other.close()


def test_what_happens_after_the_page_was_sent_is_said_in_its_language_too(stage: Stage) -> None:
    context = stage.context(language="de-DE")
    watched = stage.watched(context)
    page = watched.go("/audit")

    page.get_by_role("button", name="Kette prüfen").click()

    expect(page.get_by_text(re.compile(r"Unversehrt: .* Einträge gelesen"))).to_be_visible()
    assert watched.faults == []
    context.close()


def test_hebrew_runs_from_right_to_left(stage: Stage) -> None:
    context = stage.context(language="he-IL")
    watched = stage.watched(context)
    page = watched.go("/jobs")

    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    with speaking(LANGUAGES["he"]):
        expect(page.get_by_role("heading", level=1)).to_have_text(translate("Jobs"))
    side, content = page.locator(".o-side").bounding_box(), page.locator("#content").bounding_box()
    assert side is not None
    assert content is not None
    assert side["x"] >= content["x"] + content["width"] - 1
    context.close()


def test_the_sign_in_page_can_be_turned_into_another_language(stage: Stage) -> None:
    context = stage.browser.new_context(locale="en-US")
    page = context.new_page()
    page.goto(f"{stage.product.url}/console/sign-in")

    page.get_by_label("Language").select_option("he")

    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.get_by_label("סיסמה")).to_be_visible()
    context.close()


@pytest.mark.parametrize("path", [path for path in PAGES if "tab=" not in path])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(stage: Stage, path: str) -> None:
    context = stage.context()
    page = stage.watched(context).go(path)
    page.wait_for_timeout(300)
    reachable: dict[str, str] = page.evaluate(REACHABLE)
    assert len(reachable) > 10

    seen: set[str] = set()
    unseen = []
    for _ in range(len(reachable) + 20):
        page.keyboard.press("Tab")
        held: dict[str, Any] = page.evaluate(HELD)
        if not held["place"]:
            continue
        seen.add(held["place"])
        if not held["visible"]:
            unseen.append(held["html"])

    assert [reachable[place] for place in reachable if place not in seen] == []
    assert unseen == []
    context.close()


# Where a thing stands: the way down to it from the root. It stays the same when a part of the page is drawn anew.
PLACE = """(one) => {
  const steps = [];
  for (; one.parentElement; one = one.parentElement) steps.unshift([...one.parentElement.children].indexOf(one));
  return steps.join("/");
}"""
# What of the page the keyboard must reach, by where it stands.
REACHABLE = f"""() => {{
  const all = [...document.querySelectorAll("a[href], button, select, input, textarea, [tabindex='0']")].filter(
    (one) => !one.disabled && one.tabIndex >= 0 && one.checkVisibility({{ visibilityProperty: true }}) && !one.closest("[inert], .q-notifications"));
  return Object.fromEntries(all.map((one) => [({PLACE})(one), one.outerHTML.slice(0, 120)]));
}}"""
# What holds the keyboard now, and whether an outline or the border of its field shows it.
HELD = f"""() => {{
  const one = document.activeElement;
  if (!one || one === document.body) return {{ place: "", visible: true, html: "" }};
  const style = getComputedStyle(one);
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  return {{ place: ({PLACE})(one), visible: outlined || !!one.closest(".q-field--focused"), html: one.outerHTML.slice(0, 120) }};
}}"""


def test_the_skip_link_leads_past_the_menu(stage: Stage) -> None:
    context = stage.context()
    page = stage.watched(context).go("/jobs")

    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.closest('#content') !== null")
    context.close()


def _phone(stage: Stage, language: str) -> BrowserContext:
    return stage.context(phone=True, language=language)


@pytest.mark.parametrize("language", ["en-US", "fr-FR", "de-DE", "he-IL"])
def test_no_page_is_wider_than_a_phone(stage: Stage, language: str) -> None:
    context = _phone(stage, language)
    watched = stage.watched(context)
    wide = {}

    for path in PAGES:
        page = watched.go(path)
        watched.picture(
            f"phone-{path.strip('/').replace('/', '-').replace('?', '-').replace('=', '-') or 'home'}-{language}"
        )
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if over > 0:
            wide[path] = over

    assert wide == {}
    assert watched.faults == []
    context.close()


@pytest.mark.parametrize("language", ["en-US", "he-IL"])
def test_the_menu_of_a_phone_is_a_drawer(stage: Stage, language: str) -> None:
    context = _phone(stage, language)
    watched = stage.watched(context)
    page = watched.go("/jobs")
    burger, drawer = page.locator(".o-burger"), page.locator("#drawer")
    expect(drawer).to_be_hidden()

    burger.click()
    expect(drawer).to_be_visible()
    expect(drawer.get_by_role("link").first).to_be_focused()
    watched.settle()
    watched.picture(f"drawer-{language}")
    assert _violations(page) == []
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(burger).to_be_focused()

    burger.click()
    drawer.locator("a[href='/console/keys']").click()
    expect(page).to_have_url(re.compile(r"/console/keys$"))
    expect(drawer).to_be_hidden()
    context.close()
