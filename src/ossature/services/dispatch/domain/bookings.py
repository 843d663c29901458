"""Bookings and their trips: who wants to be taken where, when and how."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from ossature.kernel.errors import Conflict, FieldError, InvalidInput, NotFound, Unavailable
from ossature.services.dispatch.domain.loads import Load
from ossature.services.dispatch.domain.places import Point, Unplaced
from ossature.services.dispatch.domain.states import Party, TripState
from ossature.services.dispatch.domain.windows import TimeRule, Window

NEEDS: Final = (
    "oxygen", "stair_climber", "stretcher_chair", "bariatric", "isolation", "walker", "medical_escort",
)  # fmt: skip
"""What a trip can ask of a vehicle or its driver besides room, in the order of the solver's bits."""


class ClientNotFound(NotFound):
    """No client has this id."""

    title = "No such client"


class BookingNotFound(NotFound):
    """No booking has this id."""

    title = "No such booking"


class PlaceNotFound(NotFound):
    """No place has this id."""

    title = "No such place"


class TripNotFound(NotFound):
    """No trip has this id."""

    title = "No such trip"


class StaleVersion(Conflict):
    """It was changed since it was read; `version` is the one that it has now."""

    title = "Stale version"


def require_version(now: int, given: int) -> None:
    """It was not changed since it was read. Raises: StaleVersion."""
    if now != given:
        raise StaleVersion(f"It is in version {now} now.", version=now)


class TripFixed(Conflict):
    """The trip is planned, under way or over: take it out of its duty first. What was confirmed is changed by staff."""

    title = "Trip fixed"


class ExternalIdTaken(Conflict):
    """The requester has a booking of this external id already; `booking_id` says which."""

    title = "External id taken"


class AddressNotPlaced(InvalidInput):
    """An address could not be found on the map: correct it, or give coordinates."""

    title = "Address not placed"


class GeocoderUnavailable(Unavailable):
    """The address has to be searched, and nobody can be asked now: give coordinates, or try again later."""

    title = "Geocoder unavailable"


class Wheelchair(StrEnum):
    """In which chair somebody rides."""

    NONE = "none"
    MANUAL = "manual"
    ELECTRIC = "electric"


class Origin(StrEnum):
    """By which way a booking came."""

    PHONE = "phone"
    PORTAL = "portal"
    API = "api"
    IMPORT = "import"
    STANDING = "standing"


class Payer(StrEnum):
    """Who pays."""

    PATIENT = "patient"
    CLINIC = "clinic"
    INSURER = "insurer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a trip needs. passengers: the client and whoever rides in a seat beside them, without escorts.

    needs: of `NEEDS`. rides_alone: shares the vehicle with nobody.
    """

    passengers: int = 1
    wheelchair: Wheelchair = Wheelchair.NONE
    stretcher: bool = False
    escorts: int = 0
    child_seats: int = 0
    needs: frozenset[str] = frozenset()
    rides_alone: bool = False

    @property
    def load(self) -> Load:
        """The room that it takes. Who rides in a chair or lies takes no seat."""
        elsewhere = int(self.stretcher or self.wheelchair is not Wheelchair.NONE)
        return Load(
            seats=max(0, self.passengers - elsewhere - self.child_seats) + self.escorts,
            wheelchairs=int(self.wheelchair is Wheelchair.MANUAL and not self.stretcher),
            electric_wheelchairs=int(self.wheelchair is Wheelchair.ELECTRIC and not self.stretcher),
            stretchers=int(self.stretcher),
            child_seats=self.child_seats,
        )

    @property
    def skills(self) -> int:
        """The needs as a bit set."""
        return bits(self.needs)


def require_changeable(state: TripState, *, by_staff: bool) -> None:
    """A trip in this state may have other ends, times or requirements. Raises: TripFixed."""
    asked = {TripState.DRAFT, TripState.REQUESTED}
    if state not in (asked | {TripState.CONFIRMED, TripState.UNPLANNABLE} if by_staff else asked):
        raise TripFixed(f"It is {state}.", state=state.value)


def bits(needs: Iterable[str]) -> int:
    """Names of `NEEDS` as a bit set. Raises: ValueError for a name that is none."""
    return sum(1 << NEEDS.index(name) for name in set(needs))


def check_needs(needs: Iterable[str], pointer: str) -> frozenset[str]:
    """The needs. Raises: InvalidInput for a name that is none."""
    given = frozenset(needs)
    unknown = sorted(given - set(NEEDS))
    if unknown:
        known = ", ".join(NEEDS)
        raise InvalidInput(errors=[FieldError(pointer, f"{', '.join(unknown)}: there are {known}.", "unknown")])
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place on the map. confidence: 0..1 of who placed it; 1 for a pin. source: who said where it is."""

    id: UUID
    label: str
    point: Point
    source: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPlace:
    """An address that is on no map yet: trips to it wait until it is found, or pinned. why: as it was searched last."""

    id: UUID
    label: str
    why: Unplaced = Unplaced.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A person or an institution that rides or books. reference: what the tenant calls them elsewhere."""

    id: UUID
    reference: str
    last_name: str
    first_name: str
    birth_date: date | None
    phone: str
    home_place_id: UUID | None
    max_ride_s: int | None
    default_payer: Payer
    created_at: datetime
    version: int = 1

    @property
    def name(self) -> str:
        """As it is shown."""
        return f"{self.first_name} {self.last_name}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One leg of a booking. pickup, dropoff: when service may begin there, None until it is known.

    day: the tenant's local day of the ride. reason: why it was rejected, cancelled or could not be planned.
    """

    id: UUID
    booking_id: UUID
    client_id: UUID
    leg: int
    day: date
    from_place_id: UUID
    to_place_id: UUID
    requirement: Requirement
    time_rule: TimeRule
    at: datetime | None
    pickup: Window | None
    dropoff: Window | None
    promised: Window | None
    max_ride_s: int
    service_p_s: int
    service_d_s: int
    priority: int
    state: TripState
    duty_id: UUID | None
    arrived_at: datetime | None
    reason: str
    created_at: datetime
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TripEvent:
    """One thing that happened to a trip. at: when we heard it; reported_at: when it was, by the clock of who says so."""

    seq: int
    command: str
    from_state: TripState
    to_state: TripState
    actor: str
    party: str
    at: datetime
    reported_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """What was booked at once: one to many trips of one client. party: in which part somebody booked it."""

    id: UUID
    client_id: UUID
    requester: str
    payer: Payer
    origin: Origin
    external_id: str | None
    notes: str
    created_at: datetime
    party: Party = Party.DISPATCHER
    version: int = 1
    trips: tuple[Trip, ...] = field(default=())

    @property
    def state(self) -> TripState:
        """That of the trip that is furthest from its end: what still has to be done about it."""
        return min((trip.state for trip in self.trips), key=_URGENCY.index, default=TripState.DRAFT)


_URGENCY: Final = (
    TripState.INTERRUPTED,
    TripState.ONBOARD,
    TripState.AT_DROPOFF,
    TripState.AT_PICKUP,
    TripState.EN_ROUTE,
    TripState.DRAFT,
    TripState.REQUESTED,
    TripState.UNPLANNABLE,
    TripState.CONFIRMED,
    TripState.PLANNED,
    TripState.DISPATCHED,
    TripState.COMPLETED,
    TripState.NO_SHOW,
    TripState.REJECTED,
    TripState.CANCELLED,
)
