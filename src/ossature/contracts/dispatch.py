"""What dispatch tells: facts about bookings, trips and plans. Names and addresses of people are in none of them."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingRequested:
    """Somebody asked to be taken. day: of the first trip, ISO 8601."""

    booking_id: UUID
    client_id: UUID
    day: str
    trips: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TripConfirmed:
    """A trip will be served."""

    trip_id: UUID
    booking_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class TripRejected:
    """A trip will not be served."""

    trip_id: UUID
    booking_id: UUID
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TripCancelled:
    """A trip was called off. by: the part in which, such as `patient`."""

    trip_id: UUID
    booking_id: UUID
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TripStarted:
    """The driver is on the way to the pickup."""

    trip_id: UUID
    booking_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class TripCompleted:
    """The client is where they wanted to be."""

    trip_id: UUID
    booking_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class NoShow:
    """The driver waited, and nobody came."""

    trip_id: UUID
    booking_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReady:
    """A day was planned; the plan is a draft that waits to be published."""

    plan_id: UUID
    run_id: UUID
    day: str
    unserved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPublished:
    """The drivers have their day."""

    plan_id: UUID
    day: str
    trips: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """A day could not be planned; what was published before stands."""

    run_id: UUID
    day: str
    reason: str
