"""RabbitMQ or Redis Streams, spoken to through Taskiq's brokers: news of jobs reaches one idle worker each.

A message carries a job's id and nothing else. What the worker does with it is to look at the table, where priority,
order and limits are known and where the row is claimed before it is run. So a message that is lost, doubled or late
costs a look, never a job: idle workers look by themselves every `poll_s`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from ossature.kernel.errors import Misconfigured
from ossature.kernel.jobs import metrics
from ossature.kernel.jobs.settings import JobSettings
from ossature.kernel.jobs.transport.port import Wake

if TYPE_CHECKING:
    from taskiq import AsyncBroker

log = structlog.get_logger()

_UNSENT_MOST = 10_000
_AT_ONCE = 100
_TIME_LIMIT_S = 5.0
_SHUT_S = 1.0
_CANCEL_AGAIN_S = 0.5
_CANCELS_MOST = 6
_AGAIN_FIRST_S = 0.2
_AGAIN_MOST_S = 5.0
_PREFETCH = 10
_STREAM_MOST = 100_000
_ROOM_PAUSE_S = 0.01

MakeBroker = Callable[[str], "AsyncBroker"]
"""Makes a Taskiq broker for one of our queues; it is not connected yet."""


class BrokerTransport:
    """News through a broker. The commit comes first and the message after it, in the background."""

    def __init__(self, make_broker: MakeBroker) -> None:
        self._make_broker = make_broker
        self._unsent: asyncio.Queue[tuple[str, UUID]] = asyncio.Queue(_UNSENT_MOST)
        self._senders: dict[str, AsyncBroker] = {}
        self._sender: asyncio.Task[None] | None = None

    def send(self, queue: str, jobs: Sequence[UUID]) -> None:
        """Send soon. While the broker is away the oldest news wait and the latest are dropped: the table has them."""
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all(), name="broker sender")
        for job_id in jobs:
            try:
                self._unsent.put_nowait((queue, job_id))
            except asyncio.QueueFull:
                metrics.UNSENT.inc()

    @asynccontextmanager
    async def listen(self, queues: Sequence[str], wake: Wake, has_room: Callable[[], bool]) -> AsyncIterator[None]:
        """Wake for each message of these queues; none is taken while this worker has no room."""
        over = asyncio.Event()
        tasks = [
            asyncio.create_task(self._receive(queue, wake, has_room, over), name=f"broker {queue}") for queue in queues
        ]
        try:
            yield
        finally:
            over.set()
            await _end(tasks)

    async def close(self) -> None:
        """Disconnect; what was not sent is in the table."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])
            self._sender = None
        for broker in self._senders.values():
            await _shut(broker)
        self._senders.clear()

    async def _send_all(self) -> None:
        pause_s = _AGAIN_FIRST_S
        while True:
            batch = [await self._unsent.get()]
            while len(batch) < _AT_ONCE and not self._unsent.empty():
                batch.append(self._unsent.get_nowait())
            try:
                async with asyncio.timeout(_TIME_LIMIT_S):
                    await asyncio.gather(*[self._kick(await self._connected(queue), job_id) for queue, job_id in batch])
                pause_s = _AGAIN_FIRST_S
            except Exception as error:  # noqa: BLE001 - a worker's edge; brokers raise errors of five libraries
                metrics.UNSENT.inc(len(batch))
                log.warning("jobs.broker_unsent", error=type(error).__name__, jobs=len(batch), again_in_s=pause_s)
                await self._forget_senders()
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _AGAIN_MOST_S)

    async def _connected(self, queue: str) -> "AsyncBroker":
        broker = self._senders.get(queue)
        if broker is None:
            broker = self._make_broker(queue)
            await broker.startup()
            self._senders[queue] = broker
        return broker

    async def _forget_senders(self) -> None:
        senders, self._senders = self._senders, {}
        for broker in senders.values():
            await _shut(broker)

    @staticmethod
    async def _kick(broker: "AsyncBroker", job_id: UUID) -> None:
        from taskiq import BrokerMessage  # noqa: PLC0415 - optional: only with a broker

        name = str(job_id)
        await broker.kick(BrokerMessage(task_id=name, task_name="job", message=name.encode(), labels={}))

    async def _receive(self, queue: str, wake: Wake, has_room: Callable[[], bool], over: asyncio.Event) -> None:
        pause_s = _AGAIN_FIRST_S
        while not over.is_set():
            broker = self._make_broker(queue)
            broker.is_worker_process = True
            try:
                async with asyncio.timeout(_TIME_LIMIT_S):
                    await broker.startup()
                pause_s = _AGAIN_FIRST_S
                wake()  # what was sent while nobody listened may be lost
                await _take(broker, wake, has_room)
            except Exception as error:  # noqa: BLE001 - as above
                log.warning("jobs.broker_away", queue=queue, error=type(error).__name__, again_in_s=pause_s)
            finally:
                await _shut(broker)
            if not over.is_set():
                await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _AGAIN_MOST_S)


async def _take(broker: "AsyncBroker", wake: Wake, has_room: Callable[[], bool]) -> None:
    """Consume messages, each when there is room for a job; ends or raises when the connection does."""
    async for message in broker.listen():
        while not has_room():  # noqa: ASYNC110 - room is a figure of the worker's, not an event
            await asyncio.sleep(_ROOM_PAUSE_S)
        wake()
        acknowledged = None if isinstance(message, bytes) else message.ack()
        if acknowledged is not None:
            await acknowledged


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks until they are done: consumers of Taskiq's RabbitMQ broker swallow a cancellation, or wait after it."""
    waiting = set(tasks)
    for _ in range(_CANCELS_MOST):
        for task in waiting:
            task.cancel()
        _done, waiting = await asyncio.wait(waiting, timeout=_CANCEL_AGAIN_S)
        if not waiting:
            return
    log.warning("jobs.broker_consumers_abandoned", tasks=len(waiting))


async def _shut(broker: "AsyncBroker") -> None:
    with suppress(Exception):  # it may be gone already, in the words of any of its libraries
        async with asyncio.timeout(_SHUT_S):
            await broker.shutdown()


def open_transport(settings: JobSettings) -> BrokerTransport | None:
    """The transport that the settings name; None for the table itself. Raises: Misconfigured, naming the extra."""
    url = settings.broker_url.get_secret_value()
    if settings.transport == "table":
        return None
    if not url:
        raise Misconfigured(f"{JobSettings.variable('broker_url')} is needed for transport {settings.transport}.")
    make = redis_broker if settings.transport == "redis" else rabbitmq_broker
    return BrokerTransport(make(url, settings.broker_prefix))


def redis_broker(url: str, prefix: str) -> MakeBroker:
    """Redis Streams, one stream per queue. Raises: Misconfigured without the extra."""
    try:
        from taskiq_redis import RedisStreamBroker  # noqa: PLC0415 - optional
    except ImportError as error:
        raise Misconfigured("Redis as transport needs the extra: pip install 'ossature[redis]'.") from error

    def make(queue: str) -> "AsyncBroker":
        return RedisStreamBroker(
            url,
            queue_name=f"{prefix}.{queue}",
            consumer_group_name=prefix,
            xread_block=1000,
            xread_count=_PREFETCH,
            idle_timeout=30_000,
            unacknowledged_lock_timeout=_TIME_LIMIT_S,
            maxlen=_STREAM_MOST,
        )

    return make


def rabbitmq_broker(url: str, prefix: str) -> MakeBroker:
    """RabbitMQ, one durable queue per queue. Raises: Misconfigured without the extra."""
    try:
        from taskiq_aio_pika import AioPikaBroker, Exchange, Queue  # noqa: PLC0415 - optional
    except ImportError as error:
        raise Misconfigured("RabbitMQ as transport needs the extra: pip install 'ossature[rabbitmq]'.") from error

    def make(queue: str) -> "AsyncBroker":
        return AioPikaBroker(
            url,
            qos=_PREFETCH,
            exchange=Exchange(name=prefix),
            dead_letter_queue=Queue(name=f"{prefix}.dead_letter"),
            task_queues=[Queue(name=f"{prefix}.{queue}")],
            timeout=_TIME_LIMIT_S,
            reconnect_interval=1,
        )

    return make
