"""The upstreams' limits hold exactly."""

from datetime import UTC, datetime, timedelta

import pytest

from ossature.sim.limits import Limit, LimitError, Period, Windows
from tests.sim.caller import Caller

NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
ONE = {"requests": 1}


def _windows(*texts: str) -> Windows:
    return Windows(map(Limit.parse, texts))


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("600/minute", Limit(600, "minute")),
        ("6000 tokens/minute", Limit(6000, "minute", "tokens")),
        ("1/second by all", Limit(1, "second", everyone=True)),
        ("30 requests:openai/gpt-oss-20b/day", Limit(30, "day", "requests:openai/gpt-oss-20b")),
    ],
)
def test_a_limit_reads_as_it_is_written(text: str, limit: Limit) -> None:
    assert Limit.parse(text) == limit
    assert str(limit) == text


@pytest.mark.parametrize("text", ["", "600", "600/fortnight", "-1/minute", "many/minute", "1/minute by me"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(LimitError):
        Limit.parse(text)


def test_a_sliding_minute_never_holds_more_than_its_limit() -> None:
    windows = _windows("10/minute")
    admitted = []
    for step in range(600):
        now = NOON + timedelta(seconds=0.5 * step)
        if windows.refuse("me", ONE, now=now) is None:
            admitted.append(now)
    for start in admitted:
        assert sum(start <= at < start + timedelta(seconds=59.9) for at in admitted) <= 10
    assert len(admitted) == 50


def test_a_full_window_says_how_long_to_wait() -> None:
    windows = _windows("2/minute")
    for second in (0, 20):
        assert windows.refuse("me", ONE, now=NOON + timedelta(seconds=second)) is None
    assert windows.refuse("me", ONE, now=NOON + timedelta(seconds=30)) == (Limit(2, "minute"), 30.0)


@pytest.mark.parametrize(
    ("period", "last", "first"),
    [
        ("hour", "2026-06-15T12:59:59+00:00", "2026-06-15T13:00:00+00:00"),
        ("day", "2026-06-15T23:59:59+00:00", "2026-06-16T00:00:00+00:00"),
        ("month", "2026-12-31T23:59:59+00:00", "2027-01-01T00:00:00+00:00"),
    ],
)
def test_long_periods_follow_the_calendar(period: Period, last: str, first: str) -> None:
    windows = _windows(f"1/{period}")
    assert windows.refuse("me", ONE, now=datetime.fromisoformat(last)) is None
    full = windows.refuse("me", ONE, now=datetime.fromisoformat(last))
    assert full == (Limit(1, period), 1.0)
    assert windows.refuse("me", ONE, now=datetime.fromisoformat(first)) is None


def test_a_refused_request_is_charged_to_no_window() -> None:
    windows = _windows("1/minute", "100/day")
    for _ in range(5):
        windows.refuse("me", ONE, now=NOON)
    assert [state.remaining for state in windows.states("me", ONE, now=NOON)] == [0, 99]


def test_tokens_are_charged_after_the_answer() -> None:
    windows = _windows("100 tokens/minute")
    assert windows.refuse("me", ONE, now=NOON) is None
    windows.charge("me", {"tokens": 100}, now=NOON)
    full = windows.refuse("me", ONE, now=NOON)
    assert full is not None
    assert full[0].unit == "tokens"


def test_callers_have_windows_of_their_own_unless_the_limit_is_for_all() -> None:
    own, shared = _windows("1/minute"), _windows("1/minute by all")
    assert [own.refuse(who, ONE, now=NOON) is None for who in ("a", "b")] == [True, True]
    assert [shared.refuse(who, ONE, now=NOON) is None for who in ("a", "b")] == [True, False]


def test_open_meteo_takes_exactly_six_hundred_a_minute(sim: Caller) -> None:
    path = "/open_meteo/forecast?latitude=1&longitude=1&current=temperature_2m"
    statuses = [sim.get(path).status for _ in range(603)]
    assert statuses == [200] * 600 + [429] * 3
    refused = sim.get(path)
    assert "retry-after" not in refused.headers
    assert "Minutely" in refused.json()["reason"]
    sim.post("/_sim/clock", {"advance_s": 60})
    assert sim.get(path).status == 200
    assert sim.reached("open_meteo") == 605


def test_a_limit_set_by_control_holds_from_then_on(sim: Caller) -> None:
    sim.post("/_sim/limits", {"openai": ["2/minute"]})
    answers = [sim.chat("openai", "gpt-4o") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"
    assert answers[-1].headers["retry-after"] == "60"
    sim.post("/_sim/limits", {"openai": None})
    assert sim.chat("openai", "gpt-4o").status == 200


def test_two_accounts_have_windows_of_their_own(sim: Caller) -> None:
    sim.post("/_sim/limits", {"openai": ["1/day"]})
    statuses = [
        sim.get("/openai/models", {"authorization": f"Bearer {key}"}).status
        for key in ("sim-openai", "sim-openai", "sim-openai-second")
    ]
    assert statuses == [200, 429, 200]


def test_a_wrong_key_uses_nothing_up(sim: Caller) -> None:
    sim.post("/_sim/limits", {"weatherapi": ["1/month"]})
    assert sim.get("/weatherapi/current.json?key=wrong&q=Paris").status == 401
    assert sim.get("/weatherapi/current.json?key=sim-weatherapi&q=Paris").status == 200
    used_up = sim.get("/weatherapi/current.json?key=sim-weatherapi&q=Paris")
    assert (used_up.status, used_up.json()["error"]["code"]) == (403, 2007)


def test_met_norway_counts_all_callers_together_per_second(sim: Caller) -> None:
    path = "/met_norway/locationforecast/2.0/compact?lat=1&lon=1"
    assert [sim.get(path).status for _ in range(21)] == [200] * 20 + [429]
