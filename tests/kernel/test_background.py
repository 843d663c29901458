"""Work of a process that fails by surprise begins again, and is told of."""

import asyncio

from ossature.kernel import background


def _failed(task: str) -> float:
    return background.FAILED.labels(task)._value.get()


async def test_what_fails_by_surprise_begins_again_and_is_counted() -> None:
    went: list[int] = []
    task: asyncio.Task[None]

    async def work() -> None:
        went.append(len(went))
        if len(went) < 3:
            raise LookupError("nobody expected this")

    task = background.start(work, "test.surprises")
    async with asyncio.timeout(30):
        await task
    assert went == [0, 1, 2]
    assert _failed("test.surprises") == 2


async def test_who_is_told_to_stop_stops() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = background.start(work, "test.patient")
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert _failed("test.patient") == 0
