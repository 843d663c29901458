from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ossature.kernel.outbound.ledger import windows
from ossature.kernel.outbound.ledger.values import DayLimit, Period, WindowSpec

ZONES = (
    "UTC", "America/Los_Angeles", "Europe/Zurich", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana",
    "Asia/Beirut", "Pacific/Apia", "America/Sao_Paulo", "Africa/Cairo", "Pacific/Chatham", "America/Toronto",
)  # fmt: skip
instants = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def window(kind: str = "fixed", *, limit: int = 10, **fields: object) -> WindowSpec:
    return WindowSpec(subject="upstream:acme:1", unit="requests", kind=kind, limit=limit, **fields)  # type: ignore[arg-type]


def span(spec: WindowSpec, at: datetime) -> tuple[datetime, datetime]:
    found = windows.span(spec, windows.to_us(at))
    return windows.to_datetime(found.first_us), windows.to_datetime(found.ends_us)


@given(instants, st.sampled_from(ZONES), st.sampled_from(["minute", "hour", "day", "week", "month"]))
@example(datetime(2026, 3, 8, 9, 59, 59, 999999, tzinfo=UTC), "America/Los_Angeles", "day")
@example(datetime(1919, 3, 31, 4, 35, tzinfo=UTC), "America/Toronto", "day")
@settings(max_examples=300)
def test_a_calendar_window_holds_the_instant_it_was_asked_for(at: datetime, zone: str, period: Period) -> None:
    starts, ends = span(window(period=period, zone=zone), at)
    assert starts <= at < ends


@given(instants, st.sampled_from(ZONES), st.sampled_from(["day", "week", "month"]))
@settings(max_examples=300)
def test_calendar_windows_follow_each_other_without_gap_or_overlap(at: datetime, zone: str, period: Period) -> None:
    spec = window(period=period, zone=zone)
    starts, ends = span(spec, at)
    assert span(spec, starts) == (starts, ends)
    assert span(spec, ends - timedelta(microseconds=1)) == (starts, ends)
    assert span(spec, ends)[0] == ends
    assert span(spec, starts - timedelta(microseconds=1))[1] == starts


@given(instants, st.sampled_from(ZONES))
def test_all_instants_of_a_day_window_have_the_same_local_date(at: datetime, zone: str) -> None:
    starts, ends = span(window(period="day", zone=zone), at)
    local = ZoneInfo(zone)
    first, last = starts.astimezone(local).date(), (ends - timedelta(microseconds=1)).astimezone(local).date()
    assert first == last or zone == "America/Toronto"


@pytest.mark.parametrize(
    ("zone", "at", "starts", "hours"),
    [
        ("America/Los_Angeles", "2026-03-08T20:00Z", "2026-03-08T08:00Z", 23),  # clocks go forward
        ("America/Los_Angeles", "2026-11-01T20:00Z", "2026-11-01T07:00Z", 25),  # and back
        ("Europe/Zurich", "2026-03-29T12:00Z", "2026-03-28T23:00Z", 23),
        ("Europe/Zurich", "2026-10-25T12:00Z", "2026-10-24T22:00Z", 25),
        ("Africa/Cairo", "2026-04-24T12:00Z", "2026-04-23T22:00Z", 23),  # midnight itself is skipped
        ("UTC", "2028-02-29T23:59Z", "2028-02-29T00:00Z", 24),
    ],
)
def test_a_day_is_as_long_as_the_clocks_of_its_zone_make_it(zone: str, at: str, starts: str, hours: int) -> None:
    found = span(window(period="day", zone=zone), datetime.fromisoformat(at))
    assert found == (datetime.fromisoformat(starts), datetime.fromisoformat(starts) + timedelta(hours=hours))


def test_pacific_midnight_starts_a_new_day_at_eight_or_seven_in_utc() -> None:
    spec = window(period="day", zone="America/Los_Angeles")
    assert span(spec, datetime(2026, 1, 5, 7, 59, tzinfo=UTC))[1] == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert span(spec, datetime(2026, 7, 5, 7, 0, tzinfo=UTC))[0] == datetime(2026, 7, 5, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "first", "following"),
    [
        (datetime(2026, 1, 31, 23, 59, tzinfo=UTC), date(2026, 1, 1), date(2026, 2, 1)),
        (datetime(2028, 2, 29, 12, 0, tzinfo=UTC), date(2028, 2, 1), date(2028, 3, 1)),
        (datetime(2026, 12, 31, 12, 0, tzinfo=UTC), date(2026, 12, 1), date(2027, 1, 1)),
    ],
)
def test_a_month_ends_where_the_next_begins(at: datetime, first: date, following: date) -> None:
    starts, ends = span(window(period="month"), at)
    assert (starts.date(), ends.date()) == (first, following)


@given(st.integers(1, 10**15), st.floats(0.5, 86_400), st.integers(0, 10**9))
def test_a_sliding_window_counts_all_that_a_true_window_holds(now_us: int, seconds: float, ago_us: int) -> None:
    spec = window("sliding", seconds=seconds)
    earlier = now_us - min(ago_us, windows.length(spec))
    present, past = windows.span(spec, now_us), windows.span(spec, earlier)
    assert present.first_us <= past.cell_us <= present.last_us
    assert past.ends_us > now_us


@given(st.integers(1, 10**15), st.floats(0.5, 86_400))
def test_a_sliding_window_forgets_after_eleven_tenths(now_us: int, seconds: float) -> None:
    spec = window("sliding", seconds=seconds)
    cell = windows.span(spec, now_us)
    assert windows.span(spec, cell.ends_us - 1).first_us <= cell.cell_us
    assert windows.span(spec, cell.ends_us).first_us > cell.cell_us


@given(st.integers(1, 10**15), st.floats(0.5, 86_400))
def test_a_log_forgets_just_after_its_length(now_us: int, seconds: float) -> None:
    spec = window("log", seconds=seconds)
    entry = windows.span(spec, now_us)
    assert entry.ends_us == now_us + windows.length(spec) + 1
    assert windows.span(spec, entry.ends_us - 1).first_us <= now_us
    assert windows.span(spec, entry.ends_us).first_us > now_us


@given(st.integers(1, 10**15), st.integers(1, 10_000), st.floats(0.5, 3600))
def test_a_pace_never_gives_more_than_its_limit_in_its_length(now_us: int, limit: int, seconds: float) -> None:
    spec = window("pace", limit=limit, seconds=seconds)
    assert windows.interval(spec, limit) * limit >= windows.length(spec)
    assert windows.slot(spec, now_us, now_us - 1) == now_us
    assert windows.slot(spec, now_us, now_us + 5) == now_us + 5


def test_a_slot_of_a_clock_that_was_years_ahead_is_forgotten() -> None:
    spec = window("pace", seconds=1.0)
    assert windows.slot(spec, 1_000_000, 10**15) == 1_000_000


NIGHT = (DayLimit(time(22), time(6), 100), DayLimit(time(12), time(13), 0))


@pytest.mark.parametrize(
    ("at", "limit"), [("21:59", 10), ("22:00", 100), ("03:00", 100), ("06:00", 10), ("12:00", 0), ("13:00", 10)]
)
def test_the_limit_of_the_time_of_day_holds_in_the_windows_zone(at: str, limit: int) -> None:
    spec = window(seconds=60.0, limits=NIGHT, zone="Europe/Zurich")
    local = datetime.combine(date(2026, 7, 1), time.fromisoformat(at), tzinfo=ZoneInfo("Europe/Zurich"))
    assert windows.limit_at(spec, windows.to_us(local)) == limit


def test_a_closed_hour_says_when_it_opens() -> None:
    spec = window(seconds=60.0, limits=NIGHT)
    noon = windows.to_us(datetime(2026, 7, 1, 12, tzinfo=UTC))
    assert windows.retry_after_s(spec, noon, 1, ()) == 3600


def test_more_than_the_limit_waits_for_the_hour_that_allows_it() -> None:
    spec = window(seconds=60.0, limits=NIGHT)
    evening = windows.to_us(datetime(2026, 7, 1, 20, tzinfo=UTC))
    assert windows.retry_after_s(spec, evening, 50, ()) == 2 * 3600
    assert windows.retry_after_s(spec, evening, 101, ()) is None


@given(
    st.lists(st.tuples(st.integers(1, 10**8), st.integers(1, 9)), max_size=20),
    st.integers(1, 20),
)
def test_after_waiting_as_long_as_told_the_units_fit_and_not_before(leaving: list[tuple[int, int]], units: int) -> None:
    spec, now_us = window(limit=10, seconds=60.0), 0
    wait_s = windows.retry_after_s(spec, now_us, units, leaving)
    if units > 10:
        assert wait_s is None
    elif leaving:
        assert wait_s is not None
        moment = round(wait_s * windows.SECOND_US)
        assert sum(n for at, n in leaving if at > moment) + units <= 10
        earlier = [at for at, _ in leaving if at < moment]
        assert all(sum(n for at, n in leaving if at > e) + units > 10 for e in earlier)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"seconds": 60.0, "period": "day"},
        {"seconds": 0.0},
        {"kind": "sliding", "period": "day"},
        {"kind": "sliding", "seconds": 90_000.0},
        {"kind": "log", "seconds": 60.0, "limit": 1_001},
        {"kind": "pace", "seconds": 1.0, "max_wait_s": 61.0},
        {"seconds": 60.0, "limit": -1},
    ],
)
def test_a_window_that_cannot_be_counted_is_refused_where_it_is_made(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"upstream:acme:1 requests"):
        window(**fields)  # type: ignore[arg-type]


def test_windows_of_one_subject_are_told_apart_by_their_length() -> None:
    at_midnight = [window(seconds=60.0), window(period="day"), window(period="day", zone="America/Los_Angeles")]
    assert len({spec.name for spec in at_midnight}) == 3
