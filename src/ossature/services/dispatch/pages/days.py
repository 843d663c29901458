"""The choice of a day, where the tenant is."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_date
from nicegui import ui

from ossature.kernel import clock
from ossature.kernel.console import say
from ossature.kernel.console.parts import button, field, link, tag
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.language import language
from ossature.kernel.i18n.words import Words
from ossature.services.dispatch.domain.clocks import YEARS
from ossature.services.dispatch.domain.plans import local_day
from ossature.services.dispatch.domain.windows import Window

WORDS = Words(
    "dispatch.days",
    {
        "day": "Day",
        "show": "Show",
        "before": "Day before",
        "after": "Day after",
        "today": "Today",
        "tomorrow": "Tomorrow",
        "days": "Choose a day",
        "zone": "Times are those of {zone}.",
        "until": "{begin} to {end}",
    },
)


_NAMED = ("today", "tomorrow")


def today(visit: Visit) -> date:
    """The day that it is where the tenant is."""
    return local_day(clock.now(), visit.tenant.zone)


def day_of(visit: Visit, text: str) -> date | None:
    """A day as it stands in an address, `2026-03-01`, `today` or `tomorrow`; None for what is none."""
    if text in _NAMED:
        return today(visit) + timedelta(days=_NAMED.index(text))
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.year in YEARS else None


def asked_day(visit: Visit) -> date:
    """The day that the address of the page names, else today."""
    return day_of(visit, visit.query.get("day", "")) or today(visit)


def long_day(day: date) -> str:
    """`Sunday, 1 March 2026`."""
    return format_date(day, "full", locale=language().locale)


def zone_note(visit: Visit) -> str:
    """In which zone times are said, where that is not the reader's own."""
    return WORDS("zone", zone=visit.tenant.zone) if visit.zone != visit.tenant.zone else ""


def window_said(window: Window | None, zone: str) -> str:
    """`14:05 to 14:20`."""
    if window is None:
        return say.NOTHING
    return WORDS("until", begin=say.clock_time(window.earliest, zone), end=say.clock_time(window.latest, zone))


def hour_of(moment: datetime, zone: str) -> datetime:
    """The begin of the hour that an instant is in, there."""
    return moment.astimezone(ZoneInfo(zone)).replace(minute=0, second=0, microsecond=0).astimezone(UTC)


def chooser(visit: Visit, day: date | None, path: Callable[[date], str]) -> None:
    """The day that is shown, the days around it, and a field for any other."""
    here = today(visit)

    async def show() -> None:
        wanted = day_of(visit, str(chosen.value or ""))
        if wanted is not None:
            ui.navigate.to(path(wanted))

    with tag("nav", cls="o-row", aria_label=WORDS("days")):
        if day is not None:
            link(WORDS("before"), path(day - timedelta(days=1)), "o-button o-small")
        chosen = field(WORDS("day"), value=day.isoformat() if day else "", kind="date")
        chosen.on("keydown.enter", show).style("width: 160px")
        button(WORDS("show"), show, small=True)
        if day is not None:
            link(WORDS("after"), path(day + timedelta(days=1)), "o-button o-small")
        with tag("div", cls="o-tabs"):
            for name, one in zip(_NAMED, (here, here + timedelta(days=1)), strict=True):
                element = link(WORDS(name), path(one))
                if one == day:
                    element.props["aria-current"] = "true"
