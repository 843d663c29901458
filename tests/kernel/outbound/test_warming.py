"""Answers that are kept warm: fetched before they are stale, and never at the cost of those who ask."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

from ossature.kernel import clock
from ossature.kernel.config import Config
from ossature.kernel.outbound.provider import Limit
from ossature.kernel.outbound.settings import OutboundSettings, Warm
from ossature.kernel.outbound.warming import WARM, warm_answers
from tests.kernel.outbound.conftest import Bench, Someone, Upstream, a_provider

Later = Callable[[float], AbstractContextManager[clock.Clock]]
BASEL = Warm(operation="weather.current", query={"place": "Basel"})


def a_ctx(engine: Any, *warm: Warm, **settings: Any) -> Any:
    someone = Someone()
    config = Config([OutboundSettings(warm=list(warm), **settings)])
    return SimpleNamespace(id=someone.id, tenant=someone.tenant, port=lambda _: engine, settings=config)


async def test_a_warm_answer_is_there_before_anybody_asks(bench: Bench, upstream: Upstream, later: Later) -> None:
    upstream.answers["/sky"] = [{"t": 1}, {"t": 2}]
    engine = bench.engine(a_provider(upstream, "sky"))
    ctx = a_ctx(engine, BASEL)
    assert await warm_answers(ctx) == {"fetched": 1}
    answer = await engine.ask(Someone(), "weather.current", {"place": "Basel"})
    assert (answer.meta.cache, answer.data.temperature_c) == ("hit", 1)
    assert await warm_answers(ctx) == {"fresh": 1}
    with later(45):  # it is fresh for 60 s, and the next look is 30 s away
        assert await warm_answers(ctx) == {"fetched": 1}
        answer = await engine.ask(Someone(), "weather.current", {"place": "Basel"})
        assert (answer.meta.cache, answer.data.temperature_c) == ("hit", 2)
    assert WARM.every is not None


async def test_warming_is_counted_like_any_question(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/sky"] = {"t": 1}
    engine = bench.engine(a_provider(upstream, "sky", limits=(Limit(limit=10, per_s=3600),)))
    await warm_answers(a_ctx(engine, BASEL))
    answer = await engine.ask(Someone(), "weather.now", {"place": "Bern"})
    assert (len(bench.usage), answer.meta.provider) == (2, "sky")


async def test_what_is_left_of_a_quota_is_left_to_those_who_ask(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/sky"] = {"t": 1}
    engine = bench.engine(a_provider(upstream, "sky", limits=(Limit(limit=4, per_s=3600, kind="fixed"),)))
    for number in range(3):
        await engine.ask(Someone(), "weather.now", {"place": str(number)})
    assert await warm_answers(a_ctx(engine, BASEL, warm_leaves=0.5)) == {"spared": 1}
    assert upstream.count("/sky") == 3


async def test_one_that_fails_does_not_stop_the_others(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/sky"] = {"t": 1}
    engine = bench.engine(a_provider(upstream, "sky"))
    unknown = Warm(operation="weather.ever", query={})
    assert await warm_answers(a_ctx(engine, unknown, BASEL)) == {"failed": 1, "fetched": 1}
