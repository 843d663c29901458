"""Files of bookings on their way in: uploaded, looked through, and booked as a whole or in their good part."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from ossature.kernel.errors import Conflict, NotFound


class ImportNotFound(NotFound):
    """No import has this id."""

    title = "No such import"


class ImportNotChecked(Conflict):
    """The file is not looked through yet, or was booked already; `state` says which."""

    title = "Import not checked"


class ImportHasFaults(Conflict):
    """Rows of the file are faulty (`faulty` of them), so nothing is booked: mend them, or ask for the good ones alone."""

    title = "Import has faults"


class ImportState(StrEnum):
    """Where an import stands."""

    UPLOADED = "uploaded"
    CHECKED = "checked"
    APPLIED = "applied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """A file of bookings. sha256: of its content. requester: for whom all of it is booked, empty for nobody's.

    rows: that hold something. known: were booked before, by their external id. faulty: cannot be booked. booked: bookings
    that were made. partial: whether the good rows were booked beside faulty ones. reason: why it failed.
    """

    id: UUID
    name: str
    sha256: str
    file_id: UUID
    requester: str
    state: ImportState
    job_id: UUID | None
    partial: bool
    rows: int
    known: int
    faulty: int
    booked: int
    reason: str
    created_at: datetime
    checked_at: datetime | None
    applied_at: datetime | None

    @property
    def good(self) -> int:
        """Rows that can be booked, or were."""
        return self.rows - self.known - self.faulty


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """What is wrong with one cell. row: as people count, the first one after the heading is 2."""

    position: int
    row: int
    column: str
    message: str
    code: str
