"""Whether the broker answers: a connection of its own, made and closed, so that a broken one is never mistaken for it."""

from typing import Any

from ossature.kernel.jobs.settings import JobSettings


async def version_of(settings: JobSettings) -> str:
    """What the broker of the settings says its version is.

    Raises: OSError. The caller sets a time limit.
    """
    url = settings.broker_url.get_secret_value()
    return await (_redis(url) if settings.transport == "redis" else _rabbitmq(url))


async def _redis(url: str) -> str:
    from redis.asyncio import Redis  # noqa: PLC0415 - optional: only with a broker
    from redis.exceptions import RedisError  # noqa: PLC0415 - as above

    try:
        async with Redis.from_url(url) as client:
            info: dict[str, Any] = await client.info("server")
    except RedisError as error:
        raise ConnectionError(type(error).__name__) from error
    return str(info.get("redis_version", ""))


async def _rabbitmq(url: str) -> str:
    import aiormq  # noqa: PLC0415 - optional: only with a broker

    try:
        connection = await aiormq.connect(url)
        version = connection.server_properties.get("version", "")
        await connection.close()
    except aiormq.exceptions.AMQPError as error:
        raise ConnectionError(type(error).__name__) from error
    return version.decode() if isinstance(version, bytes) else str(version)
