"""The ledger in Redis: one Lua script (`ledger.lua`), which runs alone and so needs no lock.

The script counts by the server's time. Calendars and limits by time of day are worked out here, for a stretch of time in
which they do not change; a script that runs outside of that stretch does nothing and says what time it is.
How durable the counters are is the server's affair (`appendfsync`). If it comes back without them, processes that knew
them refuse to go on: caps would be overshot.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from importlib.resources import files
from typing import Any, Literal, cast
from uuid import UUID, uuid4

import msgspec
import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ossature.kernel import clock
from ossature.kernel.outbound.ledger import windows
from ossature.kernel.outbound.ledger.book import Ask, Book, Cell, Clamp, End, Head, Reserve, merged, window_specs
from ossature.kernel.outbound.ledger.commit import GroupedLedger
from ossature.kernel.outbound.ledger.metrics import count_excess
from ossature.kernel.outbound.ledger.rows import read_attempt, read_difference
from ossature.kernel.outbound.ledger.values import (
    PACE_MOST_WAIT_S,
    Attempt,
    AttemptExists,
    Difference,
    LedgerUnavailable,
    Pruned,
    Refused,
    Reserved,
    Take,
    WindowSpec,
    WindowState,
)

_PRUNE_GROUP = 1_000
_PLANS_MOST = 5


class RedisLedger(GroupedLedger):
    """A ledger in Redis. Make one per process and event loop; `close()` it at the end.

    redis: a client of its own, whose answers are bytes; closed with the ledger. prefix: of all its keys, which are one hash slot of a cluster. time_source: `process` takes the house's clock instead
    of the server's, for simulated time.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = "ossature:ledger",
        time_source: Literal["server", "process"] = "server",
        time_limit_s: float = 5.0,
    ) -> None:
        super().__init__()
        self._redis = redis
        self._script = self._redis.register_script((files(__package__) / "ledger.lua").read_text())
        self._prefix = f"{{{prefix}}}"
        self._server_time = time_source == "server"
        self._time_limit_s = time_limit_s
        self._marker = ""
        self._ahead_us = 0

    async def states(self, specs: Sequence[WindowSpec], /) -> list[WindowState]:
        """How full windows are, in their order. Raises: LedgerUnavailable."""
        now_us, found = await self._planned(
            "states", "windows", specs, lambda plan: [plan[spec.name] for spec in specs]
        )
        book = Book(now_us)
        book.needs((), specs)
        cells = [
            Cell(spec.name, int(c[0]), int(c[1]), spec.kind, *(int(n) for n in c[2:]))
            for spec, (_, _, cells) in zip(specs, found, strict=True)
            for c in cells
        ]
        book.learn(cells, [Head(s.name, int(f[0]), int(f[1])) for s, f in zip(specs, found, strict=True)])
        return [book.state(spec) for spec in specs]

    async def attempt(self, tenant_id: UUID, attempt_id: UUID, /) -> Attempt | None:
        """A tenant's attempt, or None. Raises: LedgerUnavailable."""
        try:
            async with asyncio.timeout(self._time_limit_s):
                stored = cast(
                    "dict[bytes, bytes]", await self._redis.hgetall(f"{self._prefix}:attempt:{attempt_id.hex}")
                )
        except (RedisError, OSError) as error:
            raise LedgerUnavailable from error
        if not stored:
            return None
        about = orjson.loads(stored[b"about"])
        if about[1] != tenant_id.hex:
            return None
        takes = orjson.dumps(msgspec.msgpack.decode(stored[b"takes"]))
        finished = stored.get(b"finished")
        return read_attempt(
            (
                attempt_id, about[0], about[1], about[2], about[3], stored[b"state"].decode(),
                stored.get(b"outcome", b"").decode(), stored.get(b"estimated") == b"1", takes,
                int(stored[b"created"]), int(stored[b"expires"]), None if finished is None else int(finished),
            )
        )  # fmt: skip

    async def verify(self) -> list[Difference]:
        """Every counter that is not the sum of its attempts. Raises: LedgerUnavailable."""
        return await self._verify(mend=False)

    async def repair(self) -> list[Difference]:
        """Set such counters to the sum of their attempts; what was mended. Raises: LedgerUnavailable."""
        return await self._verify(mend=True)

    async def prune(self, *, attempts_older_than: timedelta, windows_older_than: timedelta) -> Pruned:
        """Forget what ended long ago, in small steps. Raises: LedgerUnavailable."""
        ages = {
            "attempts": attempts_older_than // timedelta(microseconds=1),
            "windows": windows_older_than // timedelta(microseconds=1),
            "most": _PRUNE_GROUP,
        }
        attempts = cells = 0
        while True:
            _, (gone, closed) = await self._call("prune", ages)
            attempts, cells = attempts + int(gone), cells + int(closed)
            if gone < _PRUNE_GROUP and closed < _PRUNE_GROUP:
                return Pruned(attempts, cells)

    async def close(self) -> None:
        """Finish what was asked, and close the connections."""
        await self._group.close()
        await self._redis.aclose()

    async def _run(self, asks: Sequence[Ask]) -> list[object]:
        specs = window_specs(asks)
        now_us, found = await self._planned("group", "asks", specs, lambda plan: [_written(ask, plan) for ask in asks])
        answers = [_answer(ask, each, now_us) for ask, each in zip(asks, found, strict=True)]
        excess: Counter[str] = Counter()
        for each in found:
            if each[0] == "ended":
                for unit, units in each[2]:
                    excess[unit] += int(units)
        count_excess(excess)
        return answers

    async def _expired(self, limit: int) -> list[UUID]:
        _, found = await self._call("expired", {"limit": limit})
        return [UUID(each) for each in found]

    async def _verify(self, *, mend: bool) -> list[Difference]:
        _, found = await self._call("verify", {"mend": mend})
        rows = ((*cell.rpartition("|")[::2], *rest) for cell, *rest in found)
        return sorted((read_difference(row) for row in rows), key=lambda each: (each.window_name, each.starts_at))

    async def _planned(
        self, command: str, what: str, specs: Iterable[WindowSpec], write: Callable[[Mapping[str, object]], object]
    ) -> tuple[int, Any]:
        """Call with windows as they are now by the server's clock, which is learned from its answers."""
        specs = list(specs)
        now_us = windows.to_us(clock.now()) + self._ahead_us
        for _ in range(_PLANS_MOST):
            stretches = [windows.steady(spec, now_us) for spec in specs]
            argument = {
                what: write({spec.name: _plan(spec, now_us) for spec in specs}),
                "from": max((starts for starts, _ in stretches), default=0),
                "til": min((ends for _, ends in stretches), default=windows.FOREVER_US),
            }
            now_us, answer = await self._call(command, argument)
            if answer != ["stale"]:
                return now_us, answer
        msg = "The clock of Redis does not stand still long enough."
        raise LedgerUnavailable(msg)

    async def _call(self, command: str, argument: Mapping[str, Any]) -> tuple[int, Any]:
        given = "" if self._server_time else str(windows.to_us(clock.now()))
        packed = msgspec.msgpack.encode({**argument, "fresh": uuid4().hex})
        try:
            async with asyncio.timeout(self._time_limit_s):
                raw = await self._script(keys=[self._prefix], args=[command, packed, self._marker, given])
        except (RedisError, OSError) as error:
            raise LedgerUnavailable(str(error) if "LEDGERLOST" in str(error) else None) from error
        now, self._marker, answer = msgspec.msgpack.decode(raw)
        if self._server_time:
            self._ahead_us = int(now) - windows.to_us(clock.now())
        return int(now), answer


def _plan(spec: WindowSpec, now_us: int) -> dict[str, object]:
    """A window as the script reads it."""
    present = windows.span(spec, now_us)
    return {
        "name": spec.name,
        "kind": spec.kind,
        "limit": windows.limit_at(spec, now_us),
        "length": windows.length(spec, now_us),
        "step": windows.sub_bucket(spec) if spec.kind == "sliding" else 0,
        "starts": present.cell_us,
        "ends": present.ends_us,
        "wait": round(spec.max_wait_s * windows.SECOND_US),
        "patience": round(PACE_MOST_WAIT_S * windows.SECOND_US),
    }


def _written(ask: Ask, plan: Mapping[str, object]) -> dict[str, object]:
    """An ask as the script reads it."""
    if isinstance(ask, Reserve):
        wanted = ask.reservation
        about = [wanted.request_id, wanted.tenant_id.hex, wanted.provider, wanted.operation]
        return {
            "what": "reserve",
            "id": wanted.attempt_id.hex,
            "about": orjson.dumps(about).decode(),
            "expires": windows.to_us(wanted.expires_at),
            "takes": [
                {"window": plan[take.window.name], "unit": take.window.unit, "units": take.units}
                for take in _takes(ask)
            ],
        }
    if isinstance(ask, End):
        return {
            "what": "end",
            "id": ask.attempt_id.hex,
            "state": ask.state.value,
            "units": dict(ask.units),
            "outcome": ask.outcome,
            "estimated": ask.estimated,
        }
    return {"what": "clamp", "window": plan[ask.window.name], "remaining": ask.remaining, "reset": ask.reset_us}


def _answer(ask: Ask, found: Sequence[Any], now_us: int) -> object:
    """The script's answer as a value."""
    if isinstance(ask, Clamp):
        return None
    if isinstance(ask, End):
        return bool(found[1])
    if found[0] == "exists":
        return AttemptExists(f"Attempt {ask.reservation.attempt_id} was reserved before.")
    if found[0] == "reserved":
        return Reserved(ask.reservation.attempt_id, int(found[1]) / windows.SECOND_US)
    takes = _takes(ask)
    refusals = [_refused(takes[int(index)], why, detail, now_us) for index, why, detail in found[1]]
    return max(refusals, key=lambda each: float("inf") if each.retry_after_s is None else each.retry_after_s)


def _refused(take: Take, why: str, detail: Any, now_us: int) -> Refused:  # noqa: ANN401 - decoded from msgpack
    spec = take.window
    if why == "held":
        return Refused(spec, (int(detail) - now_us) / windows.SECOND_US)
    if why == "slot":
        return Refused(spec, (int(detail) - now_us) / windows.SECOND_US - spec.max_wait_s)
    flat = [int(number) for number in detail]
    return Refused(spec, windows.retry_after_s(spec, now_us, take.units, zip(flat[::2], flat[1::2], strict=True)))


def _takes(ask: Reserve) -> list[Take]:
    return [take for take in merged(ask.reservation.takes) if take.units]
