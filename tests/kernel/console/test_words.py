"""What the console says: numbers, files, colours."""

import re
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import pytest

from ossature.kernel.console import say
from ossature.kernel.console.pictures import ruler, spark, strip
from ossature.kernel.console.pulse import Beat, Pulse, added, quantile_ms
from ossature.kernel.console.table import Column, as_csv
from ossature.kernel.i18n.words import Words
from ossature.kernel.observe import metrics

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BUCKETS = len(metrics.BUCKETS_S) + 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.004, "4 ms"),
        (4.25, "4.2 secs"),
        (9, "9 secs"),
        (42, "42 secs"),
        (180, "3 mins"),
        (7500, "2 hrs 5 mins"),
        (86_400 * 3, "3 days"),
        (None, say.NOTHING),
    ],
)
def test_a_span_is_said_in_the_unit_that_a_person_would_use(seconds: float | None, said: str) -> None:
    assert say.span(seconds) == said


def test_the_past_the_future_and_now_are_told_apart() -> None:
    assert say.ago(NOON - timedelta(minutes=4), NOON) == "4 min ago"
    assert say.ago(NOON + timedelta(hours=2), NOON) == "in 2 hr"
    assert say.ago(NOON, NOON) == "just now"
    assert say.ago(None, NOON) == say.NOTHING


def test_an_instant_is_said_in_the_zone_of_the_person() -> None:
    assert say.instant(NOON, "Europe/Zurich") == "1 Mar 2026, 13:00:00"


def test_small_amounts_of_money_keep_the_digits_that_matter() -> None:
    assert say.money(0.0042) == "US$0.0042"
    assert say.money(0) == "US$0.00"


def test_a_cell_that_a_spreadsheet_would_run_is_made_harmless() -> None:
    columns = [Column("Name", str), Column("", lambda _: "a button")]

    assert as_csv(["=cmd()", 'a "b", c'], columns) == 'Name\r\n\'=cmd()\r\n"a ""b"", c"\r\n'


def test_words_of_others_are_no_markup_in_a_picture() -> None:
    drawn = strip([("good", '"><script>')]) + ruler([(0.5, "accent", "<b>")], [(0.0, "<i>")], title='"x')

    assert "<script>" not in drawn
    assert "<b>" not in drawn
    assert "<i>" not in drawn


def test_a_course_of_nothing_is_a_plain_line() -> None:
    assert "var(--bad)" not in spark([0, 0, 0], "bad")
    assert "var(--bad)" in spark([0, 1, 0], "bad")


def test_a_quantile_lies_within_its_bucket_and_is_unknown_without_requests() -> None:
    buckets = [0] * BUCKETS
    assert quantile_ms(buckets, 0.95) is None
    buckets[2] = 100  # between 10 and 25 ms

    found = quantile_ms(buckets, 0.5)

    assert found is not None
    assert 10 <= found <= 25


def test_steps_are_added_bucket_by_bucket() -> None:
    one = Beat(NOON, 1, 0, 0, (1, *[0] * (BUCKETS - 1)))

    assert added([one, one])[0] == 2
    assert one.requests == 1


def test_the_pulse_counts_customers_and_not_the_console() -> None:
    pulse = Pulse()
    pulse.sample()
    metrics.requests.observe("GET", "/v1/things", 200, 0.003)
    metrics.requests.observe("GET", "/v1/things", 404, 0.003)
    metrics.requests.observe("GET", "/v1/things", 503, 0.003)
    metrics.requests.observe("GET", "/console/", 200, 0.003)
    metrics.requests.observe("GET", "/v1/live", 101, 60.0)

    pulse.sample()

    beat = pulse.beats[-1]
    assert (beat.good, beat.refused, beat.failed) == (1, 1, 1)
    assert sum(beat.buckets) == 3


TALKING = [
    module
    for package in ("ossature.kernel.console", "ossature.kernel.console.pages", "ossature.services.hub.pages")
    for module in sorted(files(package).iterdir(), key=lambda path: path.name)
    if module.name.endswith(".py") and " = Words(" in module.read_text("utf-8")
]


@pytest.mark.parametrize("module", TALKING, ids=lambda module: module.name)
def test_every_sentence_that_is_said_stands_in_the_table_and_every_one_there_is_said(module: Traversable) -> None:
    text = module.read_text("utf-8")
    words: Words = import_module(_dotted(module)).WORDS
    toolkit = files("ossature.kernel.console").joinpath("toolkit.py").read_text("utf-8")
    by_pattern = (
        'WORDS(f"' in text
        or "WORDS(state" in text
        or "WORDS(key)" in text
        or "WORDS(kind)" in text
        or ".value)" in text
    )

    said = set(re.findall(r"""(?<![.\w])WORDS\(\s*["']([a-z_0-9]+)["']""", text))
    unsaid = {key for key in words.english if len(re.findall(rf"""["']{key}["']""", text + toolkit)) < 2}

    assert said <= set(words.english)
    assert by_pattern or unsaid == set()


def _dotted(module: Traversable) -> str:
    return ".".join(Path(str(module)).with_suffix("").parts[Path(str(module)).parts.index("ossature") :])


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [":root", 'html[data-theme="dark"]'], ids=["light", "dark"])
def test_text_stands_out_from_its_ground_as_wcag_asks(theme: str) -> None:
    css = files("ossature.kernel.console").joinpath("static/console.css").read_text("utf-8")
    block = css[css.index(theme + " {") :].partition("}")[0]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
    pairs = [
        (text, ground)
        for text in ("ink", "dim", "accent", "good", "warn", "bad", "info")
        for ground in ("paper", "panel")
    ]
    pairs += [("ink", "wash"), ("dim", "wash"), ("on-accent", "accent"), ("accent", "accent-wash")]
    pairs += [("ink", f"{tone}-wash") for tone in ("good", "warn", "bad", "info")]

    poor = {}
    for text, ground in pairs:
        lighter, darker = sorted((_luminance(colours[text]), _luminance(colours[ground])), reverse=True)
        ratio = (lighter + 0.05) / (darker + 0.05)
        if ratio < 4.5:
            poor[text, ground] = round(ratio, 2)

    assert poor == {}
