"""Drivers, vehicles and shifts on the wire."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from ossature.kernel.http.input import Input
from ossature.kernel.http.validation import Line, Phone
from ossature.services.dispatch.api.shapes.base import AddressIn, LoadIn, LoadOut, Needs, Out, Short
from ossature.services.dispatch.domain.bookings import NEEDS
from ossature.services.dispatch.domain.fleet import DriverKind


class DriverIn(Input):
    """A driver to be made."""

    number: Short
    name: Annotated[Line, Field(max_length=200)]
    kind: DriverKind = DriverKind.REGULAR
    phone: Phone | None = None
    skills: Needs = Field(default_factory=list, max_length=len(NEEDS))


class DriverPatch(Input):
    """New values of a driver; what is left out stays."""

    number: Short | None = Field(default=None, examples=["D7"])
    name: Annotated[Line, Field(max_length=200)] | None = None
    kind: DriverKind | None = None
    phone: Phone | None = None
    skills: Needs | None = Field(default=None, max_length=len(NEEDS))
    active: bool | None = None


class DriverOut(Out):
    """A driver."""

    id: UUID
    number: str
    name: str
    kind: DriverKind
    phone: str
    skills: list[str]
    active: bool
    source: str
    created_at: datetime
    version: int


class VehicleIn(Input):
    """A vehicle to be made."""

    plate: Annotated[Line, Field(max_length=30)]
    name: Short
    layouts: list[LoadIn] = Field(min_length=1, max_length=16)
    equipment: Needs = Field(default_factory=list, max_length=len(NEEDS))


class VehiclePatch(Input):
    """New values of a vehicle; what is left out stays."""

    plate: Annotated[Line, Field(max_length=30)] | None = Field(default=None, examples=["GE 7"])
    name: Short | None = None
    layouts: list[LoadIn] | None = Field(default=None, min_length=1, max_length=16)
    equipment: Needs | None = Field(default=None, max_length=len(NEEDS))
    active: bool | None = None


class VehicleOut(Out):
    """A vehicle."""

    id: UUID
    plate: str
    name: str
    layouts: list[LoadOut]
    equipment: list[str]
    active: bool
    created_at: datetime
    version: int


class ShiftIn(Input):
    """A shift to be made. base: where it begins and ends."""

    driver_id: UUID
    vehicle_id: UUID
    base: AddressIn
    starts_at: AwareDatetime = Field(examples=["2031-03-03T06:00:00Z"])
    ends_at: AwareDatetime = Field(examples=["2031-03-03T14:00:00Z"])


class ShiftOut(Out):
    """A shift."""

    id: UUID
    duty_id: UUID
    driver_id: UUID
    vehicle_id: UUID
    day: date
    place_id: UUID
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    version: int
