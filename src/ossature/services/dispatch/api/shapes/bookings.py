"""Clients, bookings and trips on the wire."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field

from ossature.kernel.http.input import Input
from ossature.kernel.http.validation import Phone
from ossature.services.dispatch.api.shapes.base import (
    AddressIn,
    Needs,
    Out,
    Reason,
    Requester,
    Short,
    Text,
    Version,
    WindowOut,
)
from ossature.services.dispatch.domain.bookings import NEEDS, Origin, Payer, Wheelchair
from ossature.services.dispatch.domain.states import TripState
from ossature.services.dispatch.domain.windows import TimeRule


class ClientIn(Input):
    """A client to be made."""

    reference: Short
    last_name: Short
    first_name: Annotated[str, Field(max_length=100)] = ""
    birth_date: date | None = None
    phone: Phone | None = None
    max_ride_s: Annotated[int, Field(ge=60, le=14_400)] | None = None
    default_payer: Payer = Payer.PATIENT


class ClientOut(Out):
    """A client."""

    id: UUID
    reference: str
    last_name: str
    first_name: str
    birth_date: date | None
    phone: str
    max_ride_s: int | None
    default_payer: Payer
    created_at: datetime
    version: int


class RequirementIn(Input):
    """What a trip needs."""

    passengers: Annotated[int, Field(ge=1, le=8)] = 1
    wheelchair: Wheelchair = Wheelchair.NONE
    stretcher: bool = False
    escorts: Annotated[int, Field(ge=0, le=8)] = 0
    child_seats: Annotated[int, Field(ge=0, le=8)] = 0
    needs: Needs = Field(default_factory=list, max_length=len(NEEDS))
    rides_alone: bool = False


class RequirementOut(Out):
    """What a trip needs."""

    passengers: int
    wheelchair: Wheelchair
    stretcher: bool
    escorts: int
    child_seats: int
    needs: list[str]
    rides_alone: bool


class TripIn(Input):
    """A trip to be made."""

    model_config = ConfigDict(populate_by_name=True)

    origin: AddressIn = Field(alias="from")
    destination: AddressIn = Field(alias="to")
    time_rule: TimeRule
    at: AwareDatetime | None = None
    day: date | None = None
    requirement: RequirementIn = RequirementIn()
    priority: Annotated[int, Field(ge=0, le=9)] = 0


class BookingIn(Input):
    """A booking to be made."""

    client_id: UUID
    trips: list[TripIn] = Field(min_length=1, max_length=10)
    requester: Requester = ""
    payer: Payer | None = None
    external_id: Short | None = None
    notes: Text = ""


class BookingPatch(Input):
    """New values of a booking; what is left out stays."""

    payer: Payer | None = None
    notes: Text | None = Field(default=None, examples=["Second door on the left."])


class TripPatch(Input):
    """New values of a trip that is not planned yet; what is left out stays."""

    model_config = ConfigDict(populate_by_name=True)

    origin: AddressIn | None = Field(default=None, alias="from")
    destination: AddressIn | None = Field(default=None, alias="to")
    time_rule: TimeRule | None = None
    at: AwareDatetime | None = Field(default=None, examples=["2031-03-03T09:30:00Z"])
    requirement: RequirementIn | None = None
    priority: Annotated[int, Field(ge=0, le=9)] | None = None


class TripOut(Out):
    """A trip."""

    id: UUID
    booking_id: UUID
    client_id: UUID
    leg: int
    day: date
    from_place_id: UUID
    to_place_id: UUID
    requirement: RequirementOut
    time_rule: TimeRule
    at: datetime | None
    pickup: WindowOut | None
    dropoff: WindowOut | None
    promised: WindowOut | None
    max_ride_s: int
    priority: int
    state: TripState
    duty_id: UUID | None
    reason: str
    created_at: datetime
    version: int


class BookingOut(Out):
    """A booking with its trips."""

    id: UUID
    client_id: UUID
    requester: str
    payer: Payer
    origin: Origin
    external_id: str | None
    notes: str
    state: TripState
    created_at: datetime
    version: int
    trips: list[TripOut]


class CommandIn(Input):
    """What goes with a command. version: that was read; without it the trip is taken as it is."""

    reason: Reason = Field(default="", examples=["not needed any more"])
    version: Version | None = Field(default=None, examples=[1])


class TripEventOut(Out):
    """One thing that happened to a trip."""

    seq: int
    command: str
    from_state: TripState
    to_state: TripState
    actor: str
    party: str
    at: datetime
    reported_at: datetime
    reason: str


class HistoryOut(Out):
    """What happened to a trip, in order."""

    items: list[TripEventOut]
