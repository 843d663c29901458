"""What dispatch brings to the house."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from ossature.contracts.dispatch import (
    BookingRequested,
    NoShow,
    PlanPublished,
    PlanReady,
    RunFailed,
    TripCancelled,
    TripCompleted,
    TripConfirmed,
    TripRejected,
    TripStarted,
)
from ossature.contracts.hub import Geocoder
from ossature.contracts.sync import EmployeesChanged
from ossature.kernel.jobs.domain import JobDead
from ossature.kernel.observe.rules import died, grew
from ossature.kernel.service import Alert, Fact, Objective, Page, Rate, Role, Service, objectives
from ossature.services.dispatch import commands
from ossature.services.dispatch.api.router import router
from ossature.services.dispatch.jobs import END_LOST, TAKE_EMPLOYEES
from ossature.services.dispatch.ports import TravelTimes
from ossature.services.dispatch.settings import DispatchSettings
from ossature.services.dispatch.store import tables
from ossature.services.dispatch.usecases.demo import fill_demo
from ossature.services.dispatch.usecases.importing import APPLY_IMPORT, CHECK_IMPORT
from ossature.services.dispatch.usecases.planning import PLAN_DAY
from ossature.services.dispatch.usecases.solving import SOLVER, Solvers
from ossature.services.dispatch.usecases.waiting import PLACE_WAITING

if TYPE_CHECKING:
    from ossature.kernel.house import House


def _travel_times(house: "House") -> TravelTimes:
    from ossature.services.dispatch.domain.roads import Speeds  # noqa: PLC0415 - numpy comes with the extra [dispatch]
    from ossature.services.dispatch.providers.haversine import Haversine  # noqa: PLC0415 - as above

    settings = house.config[DispatchSettings]
    return Haversine(Speeds(detour_factor=settings.detour_factor, speed_mps=settings.speed_mps))


@asynccontextmanager
async def _solving(house: "House") -> AsyncIterator[None]:
    """Processes that solve are ended with the one that uses them."""
    try:
        yield
    finally:
        await house.port(Solvers).close()


_PAGES = "ossature.services.dispatch.pages"
_READS = frozenset({"read:bookings", "read:bookings.all", "read:fleet"})
_DISPATCHES = frozenset(
    {
        "write:bookings", "import:bookings", "command:trips", "read:clients", "write:clients", "read:planning",
        "read:plans", "write:plans",
    }
)  # fmt: skip

service: Final = Service(
    name="dispatch",
    title="Booking, planning and dispatch of patient transport",
    settings=(DispatchSettings,),
    router=router,
    tables=(
        tables.PlaceRow,
        tables.ClientRow,
        tables.DriverRow,
        tables.VehicleRow,
        tables.VehicleLayoutRow,
        tables.ShiftRow,
        tables.DutyRow,
        tables.BookingRow,
        tables.TripRow,
        tables.TripEventRow,
        tables.RunRow,
        tables.PlanRow,
        tables.PlanStopRow,
        tables.ImportRow,
        tables.ImportFaultRow,
    ),
    jobs=(PLAN_DAY, CHECK_IMPORT, APPLY_IMPORT, PLACE_WAITING),
    facts=(
        Fact(type=BookingRequested, wire="booking.requested", key="booking_id"),
        Fact(type=TripConfirmed, wire="trip.confirmed", key="trip_id"),
        Fact(type=TripRejected, wire="trip.rejected", key="trip_id"),
        Fact(type=TripCancelled, wire="trip.cancelled", key="trip_id"),
        Fact(type=TripStarted, wire="trip.started", key="trip_id"),
        Fact(type=TripCompleted, wire="trip.completed", key="trip_id"),
        Fact(type=NoShow, wire="trip.no_show", key="trip_id"),
        Fact(type=PlanReady, wire="plan.ready", key="day"),
        Fact(type=PlanPublished, wire="plan.published", key="day"),
        Fact(type=RunFailed, wire="run.failed", key="day"),
    ),
    listens={EmployeesChanged: (TAKE_EMPLOYEES,), JobDead: (END_LOST,)},
    needs=(Geocoder,),
    offers={TravelTimes: _travel_times, Solvers: lambda _: Solvers()},
    checks=(SOLVER,),
    commands=commands.app,
    limits=(Rate("imports", [(10, 3600)]),),
    lifespan=_solving,
    slos=(
        *objectives(
            "GET /v1/dispatch/bookings",
            "POST /v1/dispatch/bookings",
            "PATCH /v1/dispatch/bookings/{booking_id}",
            "GET /v1/dispatch/board",
            p95_ms=500,
            availability=0.99,
        ),
        Objective("GET /v1/dispatch/bookings/{booking_id}", p95_ms=300, availability=0.99),
        Objective("GET /v1/dispatch/drivers", p95_ms=400, availability=0.99),
        Objective("POST /v1/dispatch/plans", p95_ms=5000, error_rate=0.05, availability=0.95),
        Objective("POST /v1/dispatch/trips/{trip_id}/{command}", p95_ms=200, availability=0.995),
    ),
    alerts=(
        Alert(
            "DispatchRunsFail",
            f"sum({grew('events_published_total', '1h', fact='run.failed')})",
            0,
            "critical",
            "A day could not be planned; its last published plan stands",
            "dispatch-runs-fail",
        ),
        Alert(
            "DispatchPlansLate",
            f'histogram_quantile(0.95, sum by (le) (rate(jobs_seconds_bucket{{exported_job="{PLAN_DAY.name}"}}[1h]))) > 60',
            300,
            "warning",
            "95 of 100 plans of a day take up to {{ $value | humanizeDuration }}",
            "dispatch-runs-fail",
        ),
        Alert(
            "DispatchImportsDie",
            died(APPLY_IMPORT.name),
            0,
            "warning",
            "A file of bookings was not booked to its end",
            "jobs-die",
        ),
    ),
    demo=fill_demo,
    pages=(
        Page(
            path="/dispatch/board",
            title="Day board",
            build=f"{_PAGES}.board:board",
            allow="read:plans",
            menu="Dispatch",
            find=f"{_PAGES}.palette:find_days",
        ),
        Page(
            path="/dispatch/bookings",
            title="Bookings",
            build=f"{_PAGES}.bookings:bookings",
            allow="read:bookings",
            menu="Dispatch",
            find=f"{_PAGES}.bookings:find",
        ),
        Page(
            path="/dispatch/bookings/{booking_id:uuid}",
            title="Booking",
            build=f"{_PAGES}.booking:booking",
            allow="read:bookings",
        ),
        Page(
            path="/dispatch/book",
            title="New booking",
            build=f"{_PAGES}.booking_form:booking_form",
            allow="write:bookings",
        ),
        Page(
            path="/dispatch/imports",
            title="Import bookings",
            build=f"{_PAGES}.imports:imports",
            allow="import:bookings",
            menu="Dispatch",
        ),
        Page(
            path="/dispatch/imports/{import_id:uuid}",
            title="Import",
            build=f"{_PAGES}.imports:one_import",
            allow="import:bookings",
        ),
        Page(
            path="/dispatch/drivers",
            title="Drivers",
            build=f"{_PAGES}.drivers:drivers",
            allow="read:fleet",
            menu="Dispatch",
            find=f"{_PAGES}.drivers:find",
        ),
        Page(
            path="/dispatch/drivers/{driver_id:uuid}",
            title="Driver",
            build=f"{_PAGES}.drivers:driver",
            allow="read:fleet",
        ),
        Page(
            path="/dispatch/vehicles",
            title="Vehicles",
            build=f"{_PAGES}.vehicles:vehicles",
            allow="read:fleet",
            menu="Dispatch",
            find=f"{_PAGES}.vehicles:find",
        ),
        Page(
            path="/dispatch/vehicles/{vehicle_id:uuid}",
            title="Vehicle",
            build=f"{_PAGES}.vehicles:vehicle",
            allow="read:fleet",
        ),
    ),
    permissions=_READS | _DISPATCHES | {"write:fleet", "write:planning"},
    roles=(
        Role("dispatcher", _READS | _DISPATCHES, "Takes bookings, plans days and follows them"),
        Role("planner", _READS | {"write:fleet", "read:planning", "write:planning", "read:plans"}, "Makes the shifts"),
        Role("driver", frozenset({"read:bookings", "command:trips", "read:fleet", "read:planning"}), "Drives"),
        Role("requester", frozenset({"read:bookings", "write:bookings", "command:trips"}), "Books for its patients"),
        Role("patient", frozenset({"read:bookings", "write:bookings", "command:trips", "read:clients"}), "Rides"),
    ),
)
