"""One question on its way, and one attempt to have it answered: what is noted, what is counted."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from uuid import UUID

from ossature.kernel.outbound.answer import AttemptNote, Usage
from ossature.kernel.outbound.ledger.values import WindowSpec
from ossature.kernel.outbound.operation import Operation
from ossature.kernel.outbound.policy import Candidate, Options
from ossature.kernel.outbound.provider import Document, Mail, Program, Reply, Sending


@dataclass(frozen=True, slots=True)
class Nothing:
    """A step that leaves nothing: the provider computes its answer in this process."""

    units: Mapping[str, int] = field(default_factory=lambda: {"requests": 1})


Step = Sending | Nothing


class Sender(Protocol):
    """A transport other than HTTP."""

    async def send(self, sending: Program | Mail | Document, candidate: Candidate, /) -> Reply:
        """What came back. Raises: Undelivered."""


Meter = Callable[[Usage], None]
"""Is told of every attempt that ended, and does not wait."""


@dataclass(slots=True, kw_only=True)
class Occasion:
    """One question on its way, with what was noted so far."""

    request_id: str
    tenant_id: UUID
    operation: Operation
    options: Options
    consumer_windows: Sequence[WindowSpec] = ()
    project_id: UUID | None = None
    key_id: UUID | None = None
    notes: list[AttemptNote] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    cost_microusd: int = 0
    body: bytes | None = None
    answered_by: Candidate | None = None
    folder: Path | None = None


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One attempt under way. counted: in the ledger, not in the local bucket. partial: its answer was left early."""

    id: UUID
    occasion: Occasion
    candidate: Candidate
    units: dict[str, int]
    counted: bool
    started: float
    partial: bool = False

    @property
    def ms(self) -> float:
        """How long it has lasted."""
        return (time.perf_counter() - self.started) * 1000
