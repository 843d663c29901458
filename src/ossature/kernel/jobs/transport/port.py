"""What carries the news that there is work, from whoever enqueued to whoever works."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

Wake = Callable[[], None]


class Transport(Protocol):
    """Carries news, never work: the job is a committed row, and a worker claims it there.

    Whatever a transport loses is found by a worker that looks at the table every `poll_s`.
    """

    def send(self, queue: str, jobs: Sequence[UUID]) -> None:
        """Tell workers of a queue about committed jobs: from the background, never waiting, never failing."""

    def listen(
        self, queues: Sequence[str], wake: Wake, has_room: Callable[[], bool]
    ) -> AbstractAsyncContextManager[None]:
        """Call `wake` on the event loop whenever there may be work, for as long as the block runs.

        has_room: whether this worker could take a job; news may be left to others while it could not.
        """

    async def close(self) -> None:
        """Give connections back."""
