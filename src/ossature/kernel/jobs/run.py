"""What a running job may say about itself: how far it is, and from where it would go on.

>>> run = current()
>>> for number in range(run.checkpoint or 0, len(days)):
...     await collect(ctx, days[number])
...     await run.save(ctx.db, number + 1)
...     run.progress(100 * (number + 1) / len(days), "collecting")
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from ossature.kernel.db.lease import LeaseLost
from ossature.kernel.db.transaction import Db
from ossature.kernel.jobs import claims
from ossature.kernel.jobs.claims import Claim
from ossature.kernel.jobs.domain import storable

_MESSAGE_MOST = 300


class Run:
    """One attempt of one job, seen from inside."""

    def __init__(self, claim: Claim, changed: Callable[[], None]) -> None:
        self._claim = claim
        self._changed = changed
        self.checkpoint: Any = claim.checkpoint
        """What the last `save` of this job said, also in an attempt before this one; None at first."""
        self.percent: float | None = None
        self.message: str | None = None

    @property
    def id(self) -> UUID:
        """Of the job; the same in every attempt."""
        return self._claim.id

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return self._claim.attempt

    def progress(self, percent: float, message: str | None = None) -> None:
        """Show how far this is (0..100); written within a second, outside the job's transaction."""
        self.percent = min(100.0, max(0.0, percent))
        if message is not None:
            self.message = storable(message)[:_MESSAGE_MOST]
        self._changed()

    async def save(self, db: Db, checkpoint: Any) -> None:  # noqa: ANN401 - JSON
        """Keep a place to go on from, in the transaction of what was done up to it.

        Raises: LeaseLost when the job was given to another worker: nothing of this transaction may stay.
        """
        if not await claims.save(db, self._claim, checkpoint):
            raise LeaseLost("The job was given to another worker.", job_id=str(self.id))
        self.checkpoint = checkpoint


_current: ContextVar[Run] = ContextVar("ossature_jobs_run")


def current() -> Run:
    """The run of the job that is asking. Raises: LookupError outside a job."""
    return _current.get()


def enter(run: Run) -> None:
    """Make a run the current one of this task."""
    _current.set(run)
