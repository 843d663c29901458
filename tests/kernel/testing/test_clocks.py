import asyncio

from ossature.kernel import clock
from ossature.kernel.testing.clocks import FakeClock


async def test_a_sleeper_wakes_when_the_still_clock_reaches_its_time() -> None:
    still = FakeClock()
    with clock.using(still):
        sleeper = asyncio.create_task(clock.sleep(10))
        await asyncio.sleep(0)

        still.advance(9)
        await asyncio.sleep(0)
        assert not sleeper.done()

        still.advance(1)
        await asyncio.wait_for(sleeper, 1)


def test_ids_are_ordered_by_the_installed_clock() -> None:
    still = FakeClock()
    with clock.using(still):
        first = clock.new_id()
        still.advance(0.002)
        second = clock.new_id()

    assert first < second
    assert first.version == second.version == 7
