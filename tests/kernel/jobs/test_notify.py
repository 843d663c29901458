import asyncio

import asyncpg
from sqlalchemy import make_url

from ossature.kernel.db.notify import Notifier
from tests.kernel.proxy import through_proxy


async def until_heard(heard: list[str | None], wanted: str | None) -> None:
    async with asyncio.timeout(60):
        while wanted not in heard:  # noqa: ASYNC110 - what is watched is no event
            await asyncio.sleep(0.01)


async def kill_all_others(url: str) -> None:
    killer = await asyncpg.connect(url.replace("+asyncpg", ""))
    await killer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    await killer.close()


async def test_what_one_process_sends_another_hears(postgres_url: str) -> None:
    one, other = Notifier(make_url(postgres_url)), Notifier(make_url(postgres_url))
    heard: list[str | None] = []
    other.subscribe("news", heard.append)
    await one.start()
    await other.start()
    one.send("news", "a")
    one.send("elsewhere", "b")
    await until_heard(heard, "a")
    assert heard == [None, "a"]
    await one.close()
    await other.close()


async def test_a_connection_that_is_used_in_the_moment_in_which_it_is_lost_is_replaced_too(postgres_url: str) -> None:
    async with through_proxy(postgres_url, hides_ends=True) as (_, url):
        notifier = Notifier(make_url(url))
        heard: list[str | None] = []
        notifier.subscribe("news", heard.append)
        await notifier.start()
        await until_heard(heard, None)
        heard.clear()
        await kill_all_others(postgres_url)
        await asyncio.sleep(0.1)  # the server's last words arrive, and that it hung up does not
        notifier.send("news", "sent while away")
        await until_heard(heard, None)
        await until_heard(heard, "sent while away")
    await notifier.close()


async def test_after_a_lost_connection_listeners_are_told_of_the_gap_and_hear_again(postgres_url: str) -> None:
    notifier = Notifier(make_url(postgres_url))
    heard: list[str | None] = []
    notifier.subscribe("news", heard.append)
    await notifier.start()
    await until_heard(heard, None)
    heard.clear()
    await kill_all_others(postgres_url)
    notifier.send("news", "sent while away")
    await until_heard(heard, None)
    await until_heard(heard, "sent while away")
    await notifier.close()
