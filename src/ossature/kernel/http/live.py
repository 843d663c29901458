"""The live channel (`ossature.live.v1`): what happens in a tenant, as it happens, to whoever may see it.

    await ctx.port(Fanout).publish_after(ctx.db, ctx.tenant.id, topic="trips", type="trip", data={...})

A frame is `{seq, prev, at, type, data}`. `seq` grows by one with every frame of a tenant; `prev` is the last `seq` that
this client should have seen (topics and permissions leave frames out), so a gap is `prev` unlike the last one received.
Frames tell what changed and are no record of it: what they tell can also be read over HTTP.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy.exc import DBAPIError

from ossature.kernel import clock
from ossature.kernel.errors import Unavailable
from ossature.kernel.http.ports import Fanout, Identity, Message
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.service import Topic

log = structlog.get_logger()

PROTOCOL = "ossature.live.v1"

NOT_SIGNED_IN = 4401
TOPIC_NOT_ALLOWED = 4403
IDLE = 4408
TOO_SLOW = 4429
MALFORMED = 4400
GOING_AWAY = 1001

PRESENCE = "presence"
# Frames by which the processes tell each other who is connected; no client sees them.
_ROLL = "presence.roll"
_ROLL_EVERY_S = 20.0
_ROLL_GOOD_S = 60.0
_ROLL_MOST = 1000
_COALESCE_S = 1.0


Person = dict[str, Any]
"""Somebody who is connected: kind and name."""


class TopicRefused(Exception):  # noqa: N818 - it becomes a close code, not a problem document
    """A topic that does not exist, or that this client may not see."""


class Subscription:
    """What one client waits for. Filled by `offer` in the event loop; emptied by `frames`.

    closing: the close code once it is over. A client that lets `limit` frames pile up is told so and dropped.
    """

    def __init__(self, identity: Identity, topics: Mapping[str, Topic], *, limit: int) -> None:
        self.identity = identity
        self.topics = dict(topics)
        self.closing: int | None = None
        self.over = asyncio.Event()
        self.last = 0
        """The number of the last frame that went out: whoever sends what `frames` gives says so with `sent`."""
        self._taken = 0
        self._limit = limit
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._held: dict[tuple[str, str], tuple[Message, bytes]] = {}
        self._sent_at: dict[tuple[str, str], float] = {}
        self._early: list[tuple[Message, bytes]] | None = []
        self._news = asyncio.Event()

    def offer(self, message: Message, tail: bytes) -> None:
        """Take one frame of the tenant, if it is for this client. tail: the frame from its `at` on, encoded once."""
        if self._early is not None:
            self._early.append((message, tail))
            return
        topic = self.topics.get(message.topic)
        if topic is None or (topic.filter is not None and not topic.filter(self.identity.actor, message)):
            return
        if message.coalesce is not None:
            key = (message.topic, message.coalesce)
            now = time.monotonic()
            if now - self._sent_at.get(key, -_COALESCE_S) < _COALESCE_S:
                if not self._held:
                    self._news.set()  # who waits for the next frame may wait for longer than this one is held
                self._held[key] = (message, tail)
                return
            self._sent_at[key] = now
        self._queue(message.seq, tail)

    def begin(self, last: int, missed: Iterable[Message] = ()) -> None:
        """Go on behind frame `last`: first what was missed, then what came while that was read."""
        early, self._early = self._early or [], None
        self.last = self._taken = newest = last
        for message in missed:
            newest = message.seq
            self.offer(message, encode(message))
        for message, tail in early:
            if message.seq > newest:
                self.offer(message, tail)

    def tell(self, seq: int, tail: bytes) -> None:
        """Take a frame that is for this client whatever it asked for."""
        if self._early is None:
            self._queue(max(seq, self._newest()), tail)

    def release_held(self) -> None:
        """Queue what was held back, newest of each kind, once its second is over."""
        now = time.monotonic()
        due = [key for key in self._held if now - self._sent_at[key] >= _COALESCE_S]
        for key in due:
            message, tail = self._held.pop(key)
            self._sent_at[key] = now
            # Others have overtaken it: it carries the number of the newest, so that numbers never fall.
            self._queue(max(message.seq, self._newest()), tail)
        if not self._held and len(self._sent_at) > self._limit:
            self._sent_at.clear()

    def close(self, code: int) -> None:
        """End it; what waits is not sent any more."""
        if self.closing is None:
            self.closing = code
            self.over.set()
        self._news.set()

    def control(self, kind: str, data: Mapping[str, Any]) -> bytes:
        """A frame of the channel itself, such as a heartbeat: its number is the last one that was sent."""
        return b'{"seq":%d,"prev":%d,%b' % (self.last, self.last, _tail(clock.now().isoformat(), kind, data))

    async def frames(self, wait_s: float) -> list[tuple[int, bytes]]:
        """The frames to send now with their numbers; none when `wait_s` passed without any. Look at `closing` after each call."""
        if not self._waiting and self.closing is None:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, _COALESCE_S) if self._held else wait_s):
                    await self._news.wait()
        self.release_held()
        out = []
        while self._waiting:
            seq, tail = self._waiting.popleft()
            out.append((seq, b'{"seq":%d,"prev":%d,%b' % (seq, self._taken, tail)))
            self._taken = seq
        return out

    def sent(self, seq: int) -> None:
        """Frame `seq` is out: what the channel itself says from now on comes behind it."""
        self.last = seq

    def _newest(self) -> int:
        return self._waiting[-1][0] if self._waiting else self._taken

    def _queue(self, seq: int, tail: bytes) -> None:
        if len(self._waiting) >= self._limit:
            self.close(TOO_SLOW)
            return
        self._waiting.append((seq, tail))
        self._news.set()


@dataclass(slots=True)
class _Roll:
    """Who is connected in one process, as it last said."""

    heard_s: float
    people: dict[str, Person]


class _Room:
    """The clients of one tenant in this process, and who is connected to it anywhere."""

    def __init__(self, process: str, call: Callable[["_Room"], None]) -> None:
        """call: has this process say who is here."""
        self.clients: set[Subscription] = set()
        self.rolls: dict[str, _Roll] = {}
        self.stop: Callable[[], Awaitable[None]] | None = None
        self.calling: asyncio.Task[None] | None = None
        self._process = process
        self._call = call

    def receive(self, message: Message) -> None:
        """Hand one frame to everybody who is here."""
        if message.topic == _ROLL:
            self._hear_roll(message)
            return
        if message.topic == PRESENCE:
            self._note(message)
        tail = encode(message)
        for client in self.clients:
            client.offer(message, tail)

    def here(self) -> dict[str, Person]:
        """Who is connected in this process."""
        actors = {client.identity.subject: client.identity.actor for client in self.clients}
        return {subject: {"kind": actor.kind, "name": actor.name} for subject, actor in actors.items()}

    def present(self) -> dict[str, Person]:
        """Who is connected in any process."""
        people = self.here()
        for process, roll in self.rolls.items():
            if process != self._process and time.monotonic() - roll.heard_s < _ROLL_GOOD_S:
                people.update(roll.people)
        return people

    async def end(self) -> None:
        """Stop listening to the tenant's frames."""
        if self.calling is not None:
            self.calling.cancel()
        if self.stop is not None:
            await self.stop()

    def _hear_roll(self, message: Message) -> None:
        process = str(message.data["process"])
        if process == self._process:
            return
        now = time.monotonic()
        self.rolls = {name: roll for name, roll in self.rolls.items() if now - roll.heard_s < _ROLL_GOOD_S}
        new = process not in self.rolls
        self.rolls[process] = _Roll(now, dict(message.data["people"]))
        if new:
            self._call(self)
            tail = _tail(message.at.isoformat(), "presence", {"people": self.present()})
            for client in self.clients:
                if PRESENCE in client.topics:
                    client.tell(message.seq, tail)

    def _note(self, message: Message) -> None:
        roll = self.rolls.get(str(message.data["process"]))
        if roll is None:
            return
        subject = str(message.data["subject"])
        if message.type == "presence.left":
            roll.people.pop(subject, None)
        else:
            roll.people[subject] = {"kind": message.data["kind"], "name": message.data["name"]}


class Live:
    """The live channels of this process. `drain()` ends all of them when the process is about to end."""

    def __init__(self, fanout: Fanout, topics: Iterable[Topic], settings: HttpSettings) -> None:
        self.settings = settings
        self.topics = {topic.name: topic for topic in (Topic(PRESENCE, allow="*"), *topics)}
        self._fanout = fanout
        self._rooms: dict[UUID, _Room] = {}
        self._opening = asyncio.Lock()
        self._process = str(clock.new_id())
        self._draining = False
        self._saying: set[asyncio.Task[None]] = set()

    def choose(self, identity: Identity, names: Sequence[str]) -> dict[str, Topic]:
        """These topics, for somebody who may see them. Raises: TopicRefused."""
        chosen = {}
        for name in names:
            topic = self.topics.get(name)
            if topic is None or not (topic.allow == "*" or identity.actor.may(topic.allow)):
                raise TopicRefused(name)
            chosen[name] = topic
        return chosen

    async def join(
        self, identity: Identity, topics: Mapping[str, Topic], resume_from: int | None = None
    ) -> tuple[Subscription, bool]:
        """A client's subscription, with what it missed since `resume_from`.

        False with it when that is no longer kept, or is more than may wait for one client: then it reloads.
        Raises: Unavailable.
        """
        tenant_id = identity.tenant.id
        client = Subscription(identity, topics, limit=self.settings.live_queue_frames)
        room = await self._room(tenant_id)
        known = room.here()
        room.clients.add(client)  # before what was missed is read: what comes meanwhile waits in the subscription
        try:
            complete = await self._catch_up(client, resume_from)
            if self._draining:
                client.close(GOING_AWAY)
            if identity.subject not in known:
                await self._tell("joined", identity)
        except BaseException:
            # Nobody would ever read what is gathered for it.
            await self.leave(client)
            raise
        return client, complete

    async def leave(self, client: Subscription) -> None:
        """Forget a client; the last one closes the room."""
        tenant_id = client.identity.tenant.id
        room = self._rooms.get(tenant_id)
        if room is None or client not in room.clients:
            return
        room.clients.discard(client)
        try:
            if client.identity.subject not in room.here():
                await self._tell("left", client.identity)
        finally:
            async with self._opening:
                if not room.clients and self._rooms.get(tenant_id) is room:
                    del self._rooms[tenant_id]
                    await room.end()

    def present(self, tenant_id: UUID) -> Mapping[str, Person]:
        """Who is connected to a tenant's channel, in any process that was heard of: subject -> kind and name."""
        room = self._rooms.get(tenant_id)
        return room.present() if room is not None else {}

    def count(self, tenant_id: UUID) -> int:
        """How many connections of a tenant this process holds."""
        room = self._rooms.get(tenant_id)
        return len(room.clients) if room is not None else 0

    def drain(self) -> None:
        """End every connection: the clients come back, to another process."""
        self._draining = True
        for room in self._rooms.values():
            for client in room.clients:
                client.close(GOING_AWAY)

    async def close(self) -> None:
        """End every connection and stop listening; at the end of the process."""
        self.drain()
        async with self._opening:
            rooms, self._rooms = list(self._rooms.values()), {}
            for room in rooms:
                await room.end()
        await asyncio.gather(*self._saying, return_exceptions=True)

    async def _catch_up(self, client: Subscription, resume_from: int | None) -> bool:
        """Begin a subscription behind the place where its client was; False when that cannot be done any more."""
        tenant_id = client.identity.tenant.id
        if resume_from is None:
            client.begin(await self._fanout.last(tenant_id))
            return True
        missed = await self._fanout.since(tenant_id, resume_from)
        if missed is None or len(missed) > self.settings.live_queue_frames:
            client.begin(await self._fanout.last(tenant_id))
            return False
        client.begin(resume_from, missed)
        return True

    async def _room(self, tenant_id: UUID) -> _Room:
        async with self._opening:
            room = self._rooms.get(tenant_id)
            if room is None:
                room = _Room(self._process, lambda room: self._call(tenant_id, room))
                room.stop = await self._fanout.subscribe(tenant_id, room.receive)
                room.calling = asyncio.create_task(self._call_for_ever(tenant_id, room), name="live.roll")
                self._rooms[tenant_id] = room
            return room

    async def _call_for_ever(self, tenant_id: UUID, room: _Room) -> None:
        while True:
            self._call(tenant_id, room)
            await asyncio.sleep(_ROLL_EVERY_S)

    def _call(self, tenant_id: UUID, room: _Room) -> None:
        """Have the other processes hear who is here."""
        people = dict(list(room.here().items())[:_ROLL_MOST])
        data = {"process": self._process, "people": people}
        saying = asyncio.create_task(self._publish(tenant_id, _ROLL, "roll", data))
        self._saying.add(saying)
        saying.add_done_callback(self._saying.discard)

    async def _tell(self, what: str, identity: Identity) -> None:
        """Tell everybody that somebody came or went."""
        actor = identity.actor
        data = {"subject": identity.subject, "kind": actor.kind, "name": actor.name, "process": self._process}
        await self._publish(identity.tenant.id, PRESENCE, f"presence.{what}", data)

    async def _publish(self, tenant_id: UUID, topic: str, kind: str, data: Mapping[str, Any]) -> None:
        try:
            await self._fanout.publish(tenant_id, topic=topic, type=kind, data=data)
        except (Unavailable, DBAPIError, OSError) as error:
            log.warning("live.presence_not_told", error=repr(error))  # the next roll mends it


def encode(message: Message) -> bytes:
    """A frame without the numbers at its front."""
    return _tail(message.at.isoformat(), message.type, message.data)


def _tail(at: str, kind: str, data: Mapping[str, Any]) -> bytes:
    """A frame from its `at` on; the numbers before it differ from client to client."""
    return orjson.dumps({"at": at, "type": kind, "data": data}, default=str)[1:]
