"""The engine: one question to the outside world, whoever answers it.

    answer = await engine.ask(ctx, "weather.current", WeatherCurrent(latitude=47.4, longitude=8.5))
    answer.data.temperature_c, answer.meta.provider, answer.meta.cache

Candidates are examined, ordered by a policy, and asked one after the other until one answers: what follows from each
error is in `kinds.py`. Answers are kept, every attempt is counted before it is made, and all of it can be explained.
"""

import difflib
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from ossature.kernel import clock, deadline
from ossature.kernel.cache.caches import Caches
from ossature.kernel.cache.port import Filled, Found, Keep
from ossature.kernel.cache.room import Room
from ossature.kernel.errors import (
    FieldError,
    InvalidInput,
    TooManyRequests,
    Unavailable,
    UpstreamFailed,
    UpstreamTimedOut,
)
from ossature.kernel.outbound.answer import Answer, Considered, Explanation, Kept, KeptPacking, Meta, Usage
from ossature.kernel.outbound.asking import Asking
from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.candidates import Candidates
from ossature.kernel.outbound.credentials import Credentials
from ossature.kernel.outbound.exchange import Exchange
from ossature.kernel.outbound.http import Http, refuse_while_writing
from ossature.kernel.outbound.kinds import NoMatch, OperationUnknown
from ossature.kernel.outbound.ledger.values import Ledger, WindowSpec
from ossature.kernel.outbound.occasion import Occasion, Sender
from ossature.kernel.outbound.operation import Operation
from ossature.kernel.outbound.placing import Surroundings
from ossature.kernel.outbound.policy import Options, PolicyName, ranked
from ossature.kernel.outbound.provider import Provider
from ossature.kernel.outbound.quotas import Fullness
from ossature.kernel.outbound.streaming import Stream, open_stream

_STALE_ON = (Unavailable, UpstreamFailed, UpstreamTimedOut, TooManyRequests)


class NothingKept(Unavailable):
    """The question may be answered from the cache only, and nothing is kept there."""

    title = "Nothing kept"


class _HasId(Protocol):
    @property
    def id(self) -> UUID:
        """The tenant's id."""


class Asker(Protocol):
    """Who asks: a `Ctx` is one."""

    id: str

    @property
    def tenant(self) -> _HasId:
        """For whom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a caller may use. windows: its own limits, taken from in the same transaction as the provider's.

    project_id, key_id: who pays, for the usage log.
    """

    windows: tuple[WindowSpec, ...] = ()
    project_id: UUID | None = None
    key_id: UUID | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options that hold whatever the request says, such as `data_collection` or `commercial`."""


class Consumers(Protocol):
    """Who knows what a caller may use; keys, plans and budgets are known above the kernel's way out."""

    async def allowance(self, asker: Asker, operation: Operation, /) -> Allowance:
        """The limits of who asks. Raises: PermissionDenied."""


class Unlimited:
    """Callers without limits of their own."""

    async def allowance(self, asker: Asker, operation: Operation, /) -> Allowance:
        """Nothing is limited."""
        del asker, operation
        return Allowance()


def _meter_nothing(_usage: Usage) -> None:
    """Nobody meters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an engine is made of; `board.start()`, `http.close()` and the like are their owner's."""

    http: Http
    ledger: Ledger
    board: Board
    caches: Caches
    credentials: Credentials
    consumers: Consumers = field(default_factory=Unlimited)
    senders: Mapping[str, Sender] = field(default_factory=dict)
    meter: Callable[[Usage], None] = _meter_nothing


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known before asking. fresh_for_s: of the kept answer. plenty: share of the quota that is left, 0..1."""

    fresh_for_s: float
    plenty: float


class Engine:
    """Asks the outside world. One per process."""

    def __init__(
        self,
        parts: Parts,
        *,
        providers: Sequence[Provider],
        operations: Sequence[Operation],
        around: Surroundings,
        default_policy: PolicyName = "free_first",
    ) -> None:
        self.operations = {operation.id: operation for operation in operations}
        self.providers = {provider.id: provider for provider in providers}
        self.fullness = Fullness(parts.ledger)
        self.consumers = parts.consumers
        self._default_policy = default_policy
        self._caches = parts.caches
        self._rooms: dict[str, Room[Kept[Any]]] = {}
        self._queries: dict[str, TypeAdapter[Any]] = {}
        self._candidates = Candidates(
            providers, credentials=parts.credentials, board=parts.board, fullness=self.fullness, around=around
        )
        self.exchange = Exchange(
            http=parts.http,
            ledger=parts.ledger,
            board=parts.board,
            credentials=parts.credentials,
            fullness=self.fullness,
            around=around,
            senders=parts.senders,
            meter=parts.meter,
        )
        self._asking = Asking(self.exchange, self._candidates, parts.board)

    async def ask(self, asker: Asker, operation: str, query: Any, **options: Any) -> Answer[Any]:  # noqa: ANN401 - the operation says
        """The answer and its envelope.

        query: the operation's query type, or a mapping of its fields. options: the fields of `Options`.
        Raises: OperationUnknown, OptionsRefused, InvalidInput, SentWhileWriting, and the problems of `kinds.py`.
        """
        refuse_while_writing()
        started = time.perf_counter()
        asked = self.operation(operation)
        checked = self._query(asked, query)
        occasion = await self._occasion(asker, asked, options)
        with deadline.within(self._limit_s(occasion)):
            found, kept_as = await self._found(occasion, checked)
        kept = found.value
        if kept.missing is not None:
            raise NoMatch(kept.missing or None, attempts=[note.to_dict() for note in occasion.notes])
        return Answer(kept.data, self._meta(occasion, found, kept_as, started), occasion.body)

    async def explain(self, asker: Asker, operation: str, query: Any, **options: Any) -> Explanation:  # noqa: ANN401 - the operation says
        """What `ask` would do now, without sending or reserving anything."""
        asked = self.operation(operation)
        checked = self._query(asked, query)
        occasion = await self._occasion(asker, asked, options)
        candidates = await self._candidates.of(asked, checked, occasion.options, occasion.tenant_id)
        order = ranked(candidates, occasion.options)
        shown = [
            Considered(each.provider.id, each.credential.id, round(each.score, 4), dict(each.parts)) for each in order
        ]
        shown += [
            Considered(each.provider.id, each.credential.id, None, {}, each.refused or "fallbacks are not allowed")
            for each in candidates
            if each not in order
        ]
        room = self._room_of(asked, occasion.options)
        cached = room is not None and room.peek(self._key(occasion, checked)) is not None
        return Explanation(asked.id, occasion.options.policy, shown, cached)

    async def foresee(self, asker: Asker, operation: str, query: Any) -> Outlook:  # noqa: ANN401 - the operation says
        """How long the kept answer is fresh, and how freely the provider that would be asked next may be; asks nobody."""
        asked = self.operation(operation)
        checked = self._query(asked, query)
        occasion = await self._occasion(asker, asked, {})
        room = self._room_of(asked, occasion.options)
        fresh_for_s = 0.0 if room is None else await room.fresh_for_s(self._key(occasion, checked))
        order = ranked(
            await self._candidates.of(asked, checked, occasion.options, occasion.tenant_id), occasion.options
        )
        await self.fullness.learn([window for each in order[:1] for window in each.windows])
        return Outlook(fresh_for_s, self.fullness.left(order[0].windows) if order else 0.0)

    @asynccontextmanager
    async def stream(self, asker: Asker, operation: str, query: Any, **options: Any) -> AsyncIterator[Stream]:  # noqa: ANN401 - the operation says
        """The items of a streamed answer, of the first provider that gives one. Never cached.

        Leaving the block early cancels the upstream and settles what was sent.
        """
        refuse_while_writing()
        asked = self.operation(operation)
        checked = self._query(asked, query)
        occasion = await self._occasion(asker, asked, options)
        with deadline.within(self._limit_s(occasion)):
            async with open_stream(self._asking, occasion, checked) as opened:
                yield opened

    def _limit_s(self, occasion: Occasion) -> float:
        """How long all attempts together may take: as the caller says, else the operation, else the installation."""
        said = occasion.options.time_limit_s or occasion.operation.time_limit_s
        return said or self.exchange.around.time_limit_s

    def operation(self, name: str) -> Operation:
        """The operation of that name. Raises: OperationUnknown, with the most alike."""
        found = self.operations.get(name)
        if found is None:
            near = difflib.get_close_matches(name, self.operations, n=3, cutoff=0.4)
            raise OperationUnknown(f"There is no operation {name!r}.", near=near)
        return found

    async def invalidate(self, pattern: str) -> int:
        """Forget kept answers of operations that match a pattern with `*` and `?`."""
        return await self._caches.invalidate(f"{pattern}:*")

    async def _occasion(self, asker: Asker, operation: Operation, said: Mapping[str, Any]) -> Occasion:
        allowance = await self.consumers.allowance(asker, operation)
        known = self._candidates.names(operation)
        options = Options.of({**said, **allowance.options}, known=known, default_policy=self._default_policy)
        return Occasion(
            request_id=asker.id,
            tenant_id=asker.tenant.id,
            operation=operation,
            options=options,
            consumer_windows=allowance.windows,
            project_id=allowance.project_id,
            key_id=allowance.key_id,
        )

    def _query(self, operation: Operation, query: Any) -> Any:  # noqa: ANN401 - the operation says
        adapter = self._queries.get(operation.id)
        if adapter is None:
            adapter = self._queries[operation.id] = TypeAdapter(operation.query)
        if isinstance(query, operation.query):
            return query
        try:
            return adapter.validate_python(query)
        except ValidationError as error:
            errors = [
                FieldError("/" + "/".join(str(part) for part in one["loc"]), one["msg"], one["type"])
                for one in error.errors()
            ]
            raise InvalidInput(f"This is no query of {operation.id}.", errors=errors) from None

    async def _found(self, occasion: Occasion, query: Any) -> tuple[Found[Kept[Any]], str]:  # noqa: ANN401 - the operation says
        """The kept answer, or one that is fetched now; and what the envelope says of the cache."""
        operation, options = occasion.operation, occasion.options
        room = self._room_of(operation, options)

        async def fill() -> Filled[Kept[Any]]:
            if options.cache == "only":
                raise NothingKept(f"No answer of {operation.id} is kept for this question.")
            return await self._filled(occasion, query)

        if room is None or options.cache == "off":
            return Found((await fill()).value, "miss", clock.now()), "bypass"
        stale_s = operation.stale_s if options.max_stale_s is None else min(operation.stale_s, options.max_stale_s)
        keep = Keep(
            ttl_s=operation.ttl_s or 0.0,
            error_s=stale_s,
            revalidate_s=min(stale_s, operation.revalidate_s),
            adaptive=operation.adaptive,
        )
        key = self._key(occasion, query)
        if options.cache == "refresh":
            return await room.bypass(key, fill, keep), "bypass"
        found = await room.get_or_fill(key, fill, keep)
        return found, found.how

    async def _filled(self, occasion: Occasion, query: Any) -> Filled[Kept[Any]]:  # noqa: ANN401 - the operation says
        operation = occasion.operation
        tags = (*operation.tags, operation.category)
        try:
            got = await self._asking.answer(occasion, query)
        except NoMatch as none:
            if not operation.negative_ttl_s:
                raise
            missing: Kept[Any] = Kept(data=None, provider="", missing=none.detail or "")
            return Filled(missing, ttl_s=operation.negative_ttl_s, tags=tags)
        manifest = got.candidate.provider.manifest
        kept = Kept(
            data=got.data,
            provider=manifest.id,
            licence=manifest.licence,
            attribution=manifest.attribution,
            warnings=tuple(occasion.warnings),
        )
        limits = [
            limit for limit in (manifest.cache_s, got.max_age_s if operation.adaptive else None) if limit is not None
        ]
        ttl_s = float(min(limits)) if limits else None
        return Filled(kept, ttl_s=ttl_s, tags=(*tags, f"provider.{manifest.id}"), keep=ttl_s is None or ttl_s > 0)

    def _room_of(self, operation: Operation, options: Options) -> Room[Kept[Any]] | None:
        """Where answers of an operation are kept; None for what is never kept."""
        if operation.kind != "read" or not operation.ttl_s or options.raw:
            return None
        room = self._rooms.get(operation.id)
        if room is None:
            room = self._rooms[operation.id] = self._caches.room(
                operation.id, KeptPacking[Any](operation.result), stale_on=_STALE_ON
            )
        return room

    def _key(self, occasion: Occasion, query: Any) -> str:  # noqa: ANN401 - the operation says
        operation = occasion.operation
        digest = hashlib.blake2b(self._queries[operation.id].dump_json(query), digest_size=16)
        digest.update(f"|{operation.model_version}|{occasion.options.narrows}".encode())
        scope = "public" if operation.scope == "public" else occasion.tenant_id.hex
        return f"{scope}:{digest.hexdigest()}"

    def _meta(self, occasion: Occasion, found: Found[Kept[Any]], kept_as: str, started: float) -> Meta:
        kept, operation = found.value, occasion.operation
        warnings = tuple(dict.fromkeys((*kept.warnings, *occasion.warnings)))
        if found.is_stale:
            warnings += ("This answer is past its time; no newer one could be had just now.",)
        return Meta(
            operation=operation.id,
            model_version=operation.model_version,
            provider=kept.provider,
            attempts=tuple(occasion.notes),
            cache=cast("Any", kept_as),
            stale=found.is_stale,
            as_of=found.made_at,
            latency_ms=(time.perf_counter() - started) * 1000,
            cost_microusd=occasion.cost_microusd,
            quota=self._asking.quota_of(occasion),
            licence=kept.licence,
            attribution=kept.attribution,
            warnings=warnings,
        )
