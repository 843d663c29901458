"""Places on the wire."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from ossature.kernel.http.input import Input
from ossature.services.dispatch.api.shapes.base import Out


class PinIn(Input):
    """Where a place is, WGS 84, in degrees."""

    lat: Annotated[float, Field(ge=-90, le=90, examples=[46.2])]
    lon: Annotated[float, Field(ge=-180, le=180, examples=[6.14])]


class AddressOut(Out):
    """A place. lat, lon: null while nobody knows. confidence: 0..1 of who placed it; 1 for a pin."""

    id: UUID
    label: str
    lat: float | None
    lon: float | None
    source: str
    confidence: float
