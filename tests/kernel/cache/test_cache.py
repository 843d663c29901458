"""The cache on each of its second levels: memory alone, a file, Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import generate_latest
from pydantic import SecretStr

from ossature.kernel import clock, deadline
from ossature.kernel.cache.caches import Caches
from ossature.kernel.cache.disk import DiskLevel
from ossature.kernel.cache.memory import OVERHEAD_BYTES, Memory
from ossature.kernel.cache.pack import BytesPacking, JsonPacking, Parcel, TypedPacking, read, write
from ossature.kernel.cache.port import Filled, Keep
from ossature.kernel.cache.room import Room
from ossature.kernel.cache.settings import CacheSettings
from ossature.kernel.db.redis import RedisSettings
from ossature.kernel.errors import Unavailable
from ossature.kernel.events.signals import Signals


@dataclass(frozen=True)
class Price:
    symbol: str
    at: datetime


class _Later(clock.SystemClock):
    def __init__(self, seconds: float) -> None:
        self._shift = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return super().now() + self._shift


def later(seconds: float) -> AbstractContextManager[Any]:
    return clock.using(_Later(seconds))


class Source:
    """Something slow that is asked for answers: gives its value, or raises it."""

    def __init__(self, *values: Any, slow_s: float = 0.0) -> None:
        self.values = list(values)
        self.slow_s = slow_s
        self.asked = 0
        self.begun = asyncio.Event()

    async def __call__(self) -> Any:
        self.asked += 1
        self.begun.set()
        await asyncio.sleep(self.slow_s)
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        if isinstance(value, Exception):
            raise value
        return value


Make = Callable[[], Caches]


@pytest.fixture(params=["none", "disk", "redis"])
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes the caches of processes that share a second level."""
    redis = RedisSettings()
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        redis = RedisSettings(url=SecretStr(url), prefix=f"test-{uuid4().hex[:8]}:")
    opened: list[Caches] = []

    def one(**settings: Any) -> Caches:
        chosen = CacheSettings(**{"level2": request.param, "lease_s": 2.0} | settings)
        opened.append(Caches(chosen, redis=redis, var_dir=tmp_path))
        return opened[-1]

    yield one
    for number, caches in enumerate(opened):
        if not number:
            await caches.clear()
        await caches.close()


def a_room(caches: Caches) -> Room[Any]:
    return caches.room("prices", JsonPacking())


MINUTE = Keep(ttl_s=60)


async def test_what_was_fetched_is_not_fetched_again(make: Make) -> None:
    room, source = a_room(make()), Source("1.07")
    first = await room.get_or_fill("EUR", source, MINUTE)
    again = await room.get_or_fill("EUR", source, MINUTE)
    assert (first.how, again.how, again.value, source.asked) == ("miss", "hit", "1.07", 1)
    assert again.made_at <= clock.now()


async def test_it_is_fetched_again_when_its_time_is_over(make: Make) -> None:
    room, source = a_room(make()), Source(1, 2)
    await room.get_or_fill("EUR", source, MINUTE)
    with later(61):
        found = await room.get_or_fill("EUR", source, MINUTE)
    assert (found.how, found.value) == ("miss", 2)


async def test_a_thousand_at_once_are_one_fetch(make: Make) -> None:
    room, source = a_room(make()), Source(1, slow_s=0.05)
    found = await asyncio.gather(*(room.get_or_fill("EUR", source, MINUTE) for _ in range(1000)))
    assert {each.value for each in found} == {1}
    assert source.asked == 1


async def test_a_fetch_fails_for_all_who_wait_and_is_tried_anew_afterwards(make: Make) -> None:
    room, source = a_room(make()), Source(Unavailable(), 2, slow_s=0.02)
    found = await asyncio.gather(*(room.get_or_fill("EUR", source, MINUTE) for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in found] == [Unavailable] * 5
    assert (await room.get_or_fill("EUR", source, MINUTE)).value == 2


async def test_one_caller_that_leaves_does_not_spoil_it_for_the_others(make: Make) -> None:
    room, source = a_room(make()), Source(1, slow_s=0.1)
    leaving = asyncio.create_task(room.get_or_fill("EUR", source, MINUTE))
    staying = asyncio.create_task(room.get_or_fill("EUR", source, MINUTE))
    await source.begun.wait()
    leaving.cancel()
    assert (await staying).value == 1
    assert source.asked == 1


async def test_a_fetch_that_nobody_waits_for_is_stopped(make: Make) -> None:
    room, source = a_room(make()), Source(1, slow_s=0.2)
    alone = asyncio.create_task(room.get_or_fill("EUR", source, MINUTE))
    await source.begun.wait()
    alone.cancel()
    await asyncio.sleep(0.2)
    assert await room.get("EUR") is None


async def test_there_is_none_is_believed_for_its_own_time(make: Make) -> None:
    room, source = a_room(make()), Source(None, 1)
    keep = Keep(ttl_s=60, negative_ttl_s=5)
    await room.get_or_fill("EUR", source, keep)
    assert (await room.get_or_fill("EUR", source, keep)).how == "hit"
    with later(6):
        assert (await room.get_or_fill("EUR", source, keep)).value == 1


async def test_there_is_none_is_not_kept_unless_asked(make: Make) -> None:
    room, source = a_room(make()), Source(None, 1)
    await room.get_or_fill("EUR", source, MINUTE)
    assert (await room.get_or_fill("EUR", source, MINUTE)).value == 1


async def test_an_old_answer_is_given_at_once_while_a_new_one_is_fetched(make: Make) -> None:
    room, source = a_room(make()), Source(1, 2, slow_s=0.03)
    keep = Keep(ttl_s=60, revalidate_s=60)
    await room.get_or_fill("EUR", source, keep)
    with later(90):
        old = await room.get_or_fill("EUR", source, keep)
        assert (old.value, old.is_stale) == (1, True)
        await asyncio.sleep(0.1)
        new = await room.get_or_fill("EUR", source, keep)
    assert (new.value, new.how, source.asked) == (2, "hit", 2)


async def test_an_old_answer_stands_in_for_a_failed_fetch_for_a_while(make: Make) -> None:
    room, source = a_room(make()), Source(1, Unavailable())
    keep = Keep(ttl_s=60, error_s=600)
    await room.get_or_fill("EUR", source, keep)
    with later(300):
        assert (await room.get_or_fill("EUR", source, keep)).is_stale
    with later(700), pytest.raises(Unavailable):
        await room.get_or_fill("EUR", source, keep)


async def test_errors_that_are_not_named_are_not_covered_up(make: Make) -> None:
    room, source = a_room(make()), Source(1, ZeroDivisionError())
    keep = Keep(ttl_s=60, error_s=600)
    await room.get_or_fill("EUR", source, keep)
    with later(90), pytest.raises(ZeroDivisionError):
        await room.get_or_fill("EUR", source, keep)


async def test_what_changes_often_is_kept_shorter(make: Make) -> None:
    room, source = a_room(make()), Source(1, 2, 3, 4, 4, 4)
    keep = Keep(ttl_s=80, adaptive=True)
    await room.get_or_fill("EUR", source, keep)
    with later(81):
        assert (await room.get_or_fill("EUR", source, keep)).value == 2
    with later(81 + 39):
        assert (await room.get_or_fill("EUR", source, keep)).how == "hit"
    with later(81 + 41):
        assert (await room.get_or_fill("EUR", source, keep)).value == 3
    with later(81 + 41 + 21):
        assert (await room.get_or_fill("EUR", source, keep)).value == 4
    with later(81 + 41 + 21 + 21):
        assert (await room.get_or_fill("EUR", source, keep)).how == "miss"
    with later(81 + 41 + 21 + 21 + 29):
        assert (await room.get_or_fill("EUR", source, keep)).how == "hit"


async def test_a_fetched_value_may_shorten_its_own_time_or_forbid_it(make: Make) -> None:
    room = a_room(make())
    source = Source(Filled(1, ttl_s=5), Filled(2, keep=False), 3)
    await room.get_or_fill("EUR", source, MINUTE)
    with later(6):
        await room.get_or_fill("EUR", source, MINUTE)
        assert (await room.get_or_fill("EUR", source, MINUTE)).value == 3


async def test_tags_patterns_and_keys_are_forgotten(make: Make) -> None:
    caches = make()
    room, other = a_room(caches), caches.room("other", JsonPacking())
    await room.put("EUR", 1, MINUTE, tags=["money", "europe"])
    await room.put("CHF", 2, MINUTE, tags=["money"])
    await room.put("a[1]*", 3, MINUTE)
    await other.put("EUR", 4, MINUTE, tags=["money"])
    assert await room.invalidate_tag("europe") == 1
    assert [await room.get("EUR"), (await room.get("CHF")).value] == [None, 2]  # type: ignore[union-attr]
    assert await room.invalidate_tag("money") == 1
    assert await room.invalidate_like("a[1]*") == 1
    assert (await other.get("EUR")).value == 4  # type: ignore[union-attr]
    assert await other.invalidate("EUR", "none") == 1
    await room.put("x", 1, MINUTE)
    assert await caches.invalidate("pri?es:*") == 1
    assert await room.get("x") is None


async def test_a_fetch_that_began_before_it_was_told_to_forget_is_not_kept(make: Make) -> None:
    room, source = a_room(make()), Source("old", "new", slow_s=0.05)
    fetching = asyncio.create_task(room.get_or_fill("EUR", source, MINUTE))
    await source.begun.wait()
    await room.invalidate("EUR")
    assert (await fetching).value == "old"
    assert (await room.get_or_fill("EUR", source, MINUTE)).value == "new"


async def test_the_figures_are_those_of_what_happened(make: Make) -> None:
    caches = make()
    room = a_room(caches)
    await room.get_or_fill("EUR", Source(1), MINUTE)
    for _ in range(3):
        await room.get_or_fill("EUR", Source(1), MINUTE)
    await room.bypass("EUR", Source(2), MINUTE)
    stats = await caches.stats()
    counts = stats.rooms[0].counts
    assert (counts.memory_hits, counts.misses, counts.bypasses) == (3, 2, 1)
    assert counts.ratio == pytest.approx(3 / 5)
    assert stats.memory_entries == 1
    assert stats.rooms[0].level2_entries == (0 if stats.level2 == "none" else 1)


@pytest.mark.parametrize("make", ["disk", "redis"], indirect=True)
async def test_another_process_finds_it_in_the_second_level(make: Make) -> None:
    one, two = a_room(make()), a_room(make())
    await one.get_or_fill("EUR", Source({"a": [1]}), MINUTE)
    found = await two.get_or_fill("EUR", Source(2), MINUTE)
    assert (found.value, found.how, two.counts.level2_hits) == ({"a": [1]}, "hit", 1)
    assert two.peek("EUR") is not None


@pytest.mark.parametrize("make", ["disk", "redis"], indirect=True)
async def test_processes_fetch_the_same_thing_once(make: Make) -> None:
    rooms, source = [a_room(make()) for _ in range(4)], Source(1, slow_s=0.1)
    found = await asyncio.gather(*(room.get_or_fill("EUR", source, MINUTE) for room in rooms for _ in range(50)))
    assert (source.asked, {each.value for each in found}) == (1, {1})


@pytest.mark.parametrize("make", ["disk", "redis"], indirect=True)
async def test_a_process_that_died_while_fetching_is_waited_for_only_so_long(make: Make) -> None:
    dead, alive = make(lease_s=0.3), make(lease_s=0.3)
    await dead._shelf.claim("prices:EUR")
    started = asyncio.get_running_loop().time()
    assert (await a_room(alive).get_or_fill("EUR", Source(1), MINUTE)).value == 1
    assert 0.2 < asyncio.get_running_loop().time() - started < 60


@pytest.mark.parametrize("make", ["disk", "redis"], indirect=True)
async def test_who_waits_for_a_process_that_died_has_time_left_to_fetch_it(make: Make) -> None:
    dead, alive = make(lease_s=600), make(lease_s=600)
    await dead._shelf.claim("prices:EUR")

    async def fetched() -> str:
        return "late" if deadline.remaining_s(60) <= 0 else "in time"

    with deadline.within(2):
        found = await a_room(alive).get_or_fill("EUR", fetched, MINUTE)
    assert found.value == "in time"


async def test_a_question_that_comes_while_a_fetch_is_being_stopped_is_fetched_anew(make: Make) -> None:
    room, began, may_end = a_room(make()), asyncio.Event(), asyncio.Event()

    async def slow_to_stop() -> int:
        began.set()
        try:
            await asyncio.sleep(600)
        finally:
            await may_end.wait()  # what was reserved for it is given back, which takes a moment
        return 1

    leaving = asyncio.create_task(room.get_or_fill("EUR", slow_to_stop, MINUTE))
    await began.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    coming = asyncio.create_task(room.get_or_fill("EUR", Source(2), MINUTE))
    await asyncio.sleep(0)
    may_end.set()
    assert (await coming).value == 2


@pytest.mark.parametrize("make", ["disk", "redis"], indirect=True)
async def test_large_answers_are_compressed_on_the_way(make: Make) -> None:
    one, two = make(compress_over_bytes=100), make()
    await a_room(one).put("EUR", "x" * 100_000, MINUTE)
    assert (await one.stats()).rooms[0].level2_bytes < 1000
    assert (await a_room(two).get("EUR")).value == "x" * 100_000  # type: ignore[union-attr]


async def test_processes_forget_together(tmp_path: Path) -> None:
    signals = Signals()
    one, two = (Caches(CacheSettings(level2="disk"), var_dir=tmp_path, signals=signals) for _ in range(2))
    rooms = a_room(one), a_room(two)
    await rooms[0].put("EUR", 1, MINUTE, tags=["money"])
    await rooms[1].get("EUR")
    await rooms[0].invalidate_tag("money")
    assert rooms[1].peek("EUR") is None
    await one.close()
    await two.close()


async def test_without_its_second_level_the_cache_goes_on_in_memory(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    caches = Caches(CacheSettings(level2="disk"), var_dir=blocked)
    room = a_room(caches)
    assert (await room.get_or_fill("EUR", Source(1), MINUTE)).value == 1
    assert (await room.get_or_fill("EUR", Source(2), MINUTE)).how == "hit"
    await caches.close()


@pytest.mark.parametrize("make", ["redis"], indirect=True)
async def test_a_connection_that_the_server_closed_is_replaced(make: Make) -> None:
    one, two = make(), make()
    room = a_room(one)
    await a_room(two).put("EUR", 1, MINUTE)
    assert await room.get("CHF") is None
    level: Any = one._shelf.level2
    [connection] = level._at_hand
    await connection.send_command("CLIENT", "ID")
    await level._redis.client_kill_filter(_id=await connection.read_response(), skipme=False)
    assert (await room.get("EUR")).value == 1  # type: ignore[union-attr]


async def test_an_answer_says_when_it_was_fetched_however_often_it_is_given(make: Make) -> None:
    room, source = a_room(make()), Source(1)
    first = await room.get_or_fill("EUR", source, MINUTE)
    assert (await room.get_or_fill("EUR", source, MINUTE)).made_at == first.made_at


async def test_a_redis_that_is_away_costs_one_time_limit_a_second() -> None:
    redis = RedisSettings(url=SecretStr("redis://127.0.0.1:1"))
    caches = Caches(CacheSettings(level2="redis"), redis=redis)
    room = a_room(caches)
    for key in range(20):
        assert (await room.get_or_fill(str(key), Source(key), MINUTE)).value == key
    await caches.close()


async def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_bytes(b"this is no database" * 1000)
    caches = Caches(CacheSettings(level2="disk"), var_dir=tmp_path)
    await a_room(caches).put("EUR", 1, MINUTE)
    await caches.close()
    again = Caches(CacheSettings(level2="disk"), var_dir=tmp_path)
    assert (await a_room(again).get("EUR")).value == 1  # type: ignore[union-attr]
    await again.close()


async def test_a_mistake_of_ours_does_not_cost_the_whole_file(tmp_path: Path) -> None:
    caches = Caches(CacheSettings(level2="disk"), var_dir=tmp_path)
    await a_room(caches).put("EUR", 1, MINUTE)
    file = caches._shelf.level2
    assert isinstance(file, DiskLevel)
    with pytest.raises(OSError, match="bind"):
        await file._run(lambda opened: opened.execute("SELECT ?", ()).fetchone())
    file._file().close()
    with pytest.raises(OSError, match="closed"):
        await file.get("prices:EUR")
    again = Caches(CacheSettings(level2="disk"), var_dir=tmp_path)
    assert (await a_room(again).get("EUR")).value == 1  # type: ignore[union-attr]
    await again.close()


async def test_values_of_another_shape_are_not_believed(tmp_path: Path) -> None:
    caches = Caches(CacheSettings(level2="disk"), var_dir=tmp_path)
    await caches.room("prices", JsonPacking()).put("EUR", {"symbol": 1}, MINUTE)
    await caches.close()
    again = Caches(CacheSettings(level2="disk"), var_dir=tmp_path)
    typed = again.room("prices", TypedPacking[Price](Price))
    assert await typed.get("EUR") is None
    await typed.put("EUR", Price("EUR", clock.now()), MINUTE)
    assert (await typed.get("EUR")).value.symbol == "EUR"  # type: ignore[union-attr]
    await again.close()


def test_memory_is_bounded_in_bytes_and_lets_the_oldest_go() -> None:
    memory, now = Memory(10 * (OVERHEAD_BYTES + 100)), clock.now()
    for number in range(20):
        memory.put(str(number), (number, now, now, now, 100, (f"tag{number}",)))
    assert list(memory.entries) == [str(number) for number in range(10, 20)]
    assert (memory.bytes, memory.evictions) == (10 * (OVERHEAD_BYTES + 100), 10)
    assert memory.drop_tag("tag3") == 0
    memory.put("giant", (0, now, now, now, 10**6, ()))
    assert "giant" not in memory.entries
    assert memory.clear() == 10
    assert memory.bytes == 0


def test_bytes_of_another_version_are_not_an_entry() -> None:
    now = clock.now()
    entry = write(Parcel(BytesPacking().pack(b"a" * 5000), now, now, now, ("x", "y")), compress_over_bytes=100)
    assert read(entry).body == b"a" * 5000
    assert read(entry).tags == ("x", "y")
    for wrong in (b"", b"oc", b"xx" + entry[2:], entry[:2] + b"\x09" + entry[3:], entry[:-5]):
        with pytest.raises(ValueError, match=r"entry|frame|decompress|content"):
            read(wrong)


def test_a_room_has_a_plain_name() -> None:
    with pytest.raises(ValueError, match="room"):
        Caches(CacheSettings(level2="none")).room("a:b", JsonPacking())


@pytest.mark.parametrize("make", ["disk", "redis"], indirect=True)
async def test_processes_renew_an_old_answer_once(make: Make) -> None:
    rooms, source = [a_room(make()) for _ in range(4)], Source(1, 2, slow_s=0.1)
    keep = Keep(ttl_s=60, revalidate_s=600)
    for room in rooms:
        await room.get_or_fill("EUR", source, keep)
    assert source.asked == 1
    with later(61):
        found = await asyncio.gather(*(room.get_or_fill("EUR", source, keep) for room in rooms))
        assert {(each.how, each.value) for each in found} == {("stale", 1)}
        await asyncio.sleep(0.3)
        for room in rooms:  # where another process was at it, the next look finds what it brought
            await room.get_or_fill("EUR", source, keep)
        await asyncio.sleep(0.3)
        assert {(await room.get_or_fill("EUR", source, keep)).value for room in rooms} == {2}
    assert source.asked == 2


@pytest.mark.parametrize("make", ["disk", "redis"], indirect=True)
async def test_an_old_answer_of_another_process_stands_in_too(make: Make) -> None:
    one, two = a_room(make()), a_room(make(memory_bytes=0))
    keep = Keep(ttl_s=60, error_s=600)
    await one.get_or_fill("EUR", Source(1), keep)
    with later(61):
        found = await two.get_or_fill("EUR", Source(Unavailable()), keep)
    assert (found.how, found.value) == ("stale", 1)


async def test_the_file_is_bounded_in_bytes(tmp_path: Path) -> None:
    caches = Caches(CacheSettings(level2="disk", disk_bytes=200_000, compress_over_bytes=0), var_dir=tmp_path)
    room = a_room(caches)
    for number in range(60):
        await room.put(f"k{number}", "x" * 20_000, Keep(ttl_s=60 + number))
    stats = await caches.stats()
    assert 0 < stats.rooms[0].level2_bytes <= 200_000 * 17 / 16 + 20_100
    assert await a_room(caches).get("k59") is not None
    await caches.close()


async def test_metrics_have_the_names_that_dashboards_ask_for(make: Make) -> None:
    caches = make()
    room = caches.room("named", JsonPacking())
    await room.get_or_fill("EUR", Source(1), MINUTE)
    await room.get_or_fill("EUR", Source(1), MINUTE)
    await room.bypass("EUR", Source(2), MINUTE)
    caches.flush()
    shown = generate_latest().decode()
    for line in (
        'cache_hits_total{cache="named",level="memory"} ',
        'cache_misses_total{cache="named"} ',
        'cache_bypass_total{cache="named"} ',
        'cache_hit_ratio{cache="named"} ',
    ):
        assert line in shown
