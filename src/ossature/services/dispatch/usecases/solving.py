"""The solver in processes of its own, and the heartbeat of the run that waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.errors import Unavailable
from ossature.kernel.jobs.pool import Pool
from ossature.kernel.service import Check, CheckResult, Health
from ossature.services.dispatch.domain.days import Solved, solve, solver_kernel
from ossature.services.dispatch.store import plans as store

if TYPE_CHECKING:
    from darp import Problem
    from ossature.kernel.house import House

_GRACE_S = 30.0
_BEAT_S = 5.0


class Solvers:
    """Processes that solve; each is killed when its caller is cancelled."""

    def __init__(self, processes: int = 1) -> None:
        self._pool = Pool(processes)

    async def solve(self, problem: "Problem", *, time_limit_s: float, seed: int) -> Solved:
        """A solved and checked problem. Raises: TimeLimitReached, MemoryLimitReached, ProcessLost."""
        return await self._pool.run(solve, problem, time_limit_s, seed, None, time_limit_s=time_limit_s + _GRACE_S)

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()


@asynccontextmanager
async def beating(database: Database, tenant_id: UUID, run_id: UUID) -> AsyncIterator[None]:
    """A block during which the run says every few seconds that it is alive."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            with suppress(Unavailable):  # the next beat may find the database
                async with database.begin(tenant_id) as db:
                    await store.move_run(db, tenant_id, run_id, heartbeat_at=clock.now())

    heart = asyncio.create_task(beat(), name=f"run {run_id}")
    try:
        yield
    finally:
        heart.cancel()
        await asyncio.wait([heart])


async def _solver(house: "House") -> CheckResult:
    """Which kernel makes the plans: the compiled one, or the one in Python that is slower."""
    del house
    try:
        kernel = await asyncio.to_thread(solver_kernel)  # the first import reads numpy
    except ImportError:
        return CheckResult(
            Health.DEGRADED, "Days cannot be planned: the solver is not installed.", "pip install 'ossature[dispatch]'"
        )
    if kernel != "cpp":
        return CheckResult(
            Health.DEGRADED,
            "Plans and offers are made by the Python kernel: about 20 times fewer tries a second, so plans cost more.",
            "Install a C++17 compiler (c++), then install ossature-darp again.",
            {"kernel": kernel},
        )
    return CheckResult(Health.OK, facts={"kernel": kernel})


SOLVER: Final = Check(name="solver", run=_solver, time_limit_s=10.0)
"""What is checked of planning."""
