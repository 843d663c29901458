"""What comes in, as values of the domain."""

from typing import Protocol, TypeVar
from uuid import UUID

from fastapi import Request, Response

from ossature.kernel.errors import FieldError, InvalidInput
from ossature.kernel.http.caching import require_match, tag_of
from ossature.services.dispatch.api.shapes.base import AddressIn, LoadIn
from ossature.services.dispatch.api.shapes.bookings import RequirementIn
from ossature.services.dispatch.domain.bookings import Requirement
from ossature.services.dispatch.domain.loads import Load
from ossature.services.dispatch.domain.places import Point
from ossature.services.dispatch.usecases.placing import Address


def address(given: AddressIn, pointer: str) -> Address:
    """An address; with a pin if there is one. Raises: InvalidInput for half a pin."""
    if (given.lat is None) != (given.lon is None):
        raise InvalidInput(errors=[FieldError(pointer, "Give both lat and lon, or none.", "incomplete")])
    if given.lat is None or given.lon is None:
        return Address(label=given.label, pointer=pointer)
    return Address(label=given.label, pointer=pointer, point=Point(given.lat, given.lon))


def load(given: LoadIn) -> Load:
    """Room, in every dimension."""
    return Load(**given.model_dump())


def requirement(given: RequirementIn) -> Requirement:
    """What a trip needs."""
    return Requirement(**{**given.model_dump(), "needs": frozenset(given.needs)})


class Versioned(Protocol):
    """Anything that is kept in versions."""

    @property
    def id(self) -> UUID:
        """Which one."""

    @property
    def version(self) -> int:
        """Grows by one with each change."""


_V = TypeVar("_V", bound=Versioned)


def tagged(response: Response, found: _V) -> _V:
    """The same, after its version went into the answer's `ETag`."""
    response.headers["etag"] = _tag(found)
    return found


def matching(request: Request, found: Versioned, *, required: bool = True) -> None:
    """The change was made for this version. Raises: PreconditionFailed, PreconditionRequired."""
    require_match(request, _tag(found), required=required)


def _tag(found: Versioned) -> str:
    """The ETag of something, with those of its trips if it has some: an answer that shows them is new when they are."""
    return tag_of(found.id, found.version, *(trip.version for trip in getattr(found, "trips", ())))
