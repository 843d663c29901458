"""Files of bookings on the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from ossature.kernel.http.input import Input
from ossature.services.dispatch.api.shapes.base import Out
from ossature.services.dispatch.domain.batches import ImportState


class ImportOut(Out):
    """A file of bookings. rows = known + faulty + good; known ones were booked before, by their external id."""

    id: UUID
    name: str
    sha256: str
    requester: str
    state: ImportState
    job_id: UUID | None
    partial: bool
    rows: int
    known: int
    faulty: int
    good: int
    booked: int
    reason: str
    created_at: datetime
    checked_at: datetime | None
    applied_at: datetime | None


class FaultOut(Out):
    """What is wrong with one cell of a file. row: the first one after the heading is 2."""

    position: int
    row: int
    column: str
    message: str
    code: str


class ImportApply(Input):
    """How a file is booked. partial: its good rows, although others are faulty."""

    partial: bool = Field(default=False, examples=[False])
