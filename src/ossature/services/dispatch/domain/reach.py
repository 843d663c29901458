"""How far somebody sees: all bookings, or those of one patient, one institution or one driver."""

from dataclasses import dataclass
from uuid import UUID

from ossature.services.dispatch.domain.states import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What somebody may see. Without any of these: nothing."""

    everything: bool = False
    client_id: UUID | None = None
    driver_id: UUID | None = None
    requester: str | None = None

    @property
    def party(self) -> Party:
        """In which part they give commands."""
        if self.everything:
            return Party.DISPATCHER
        if self.driver_id is not None:
            return Party.DRIVER
        return Party.PATIENT if self.client_id is not None else Party.REQUESTER
