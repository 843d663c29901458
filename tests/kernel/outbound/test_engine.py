"""One question, several providers: who is asked, what is counted, what the caller is told."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ossature.kernel.errors import InvalidInput
from ossature.kernel.outbound.engine import Allowance, Engine
from ossature.kernel.outbound.kinds import (
    ConsumerQuotaExhausted,
    NoMatch,
    OperationUnknown,
    OutcomeUnknown,
    ProviderAnswerUnreadable,
    ProviderFailed,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    UpstreamRefusedInput,
)
from ossature.kernel.outbound.ledger.values import WindowSpec
from ossature.kernel.outbound.placing import Surroundings
from ossature.kernel.outbound.policy import OptionsRefused
from ossature.kernel.outbound.provider import (
    Account,
    Auth,
    Call,
    Codec,
    ErrorKind,
    Limit,
    LimitHeader,
    Price,
    Provider,
    Reply,
)

from .conftest import QUICK, Bench, Question, Someone, Upstream, Weather, a_provider, decode

ME = Someone()


def kinds(attempts: Any) -> list[str]:
    return [note.kind if hasattr(note, "kind") else note["kind"] for note in attempts]


async def test_an_answer_comes_with_its_source_and_its_attempts(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/sky"] = {"t": 21.5}
    engine = bench.engine(a_provider(upstream, "sky", attribution="Sky Inc.", licence="CC BY 4.0"))
    answer = await engine.ask(ME, "weather.current", {"place": "Basel"})
    assert answer.data == Weather(21.5)
    assert (answer.meta.provider, answer.meta.cache, answer.meta.stale) == ("sky", "miss", False)
    assert (answer.meta.attribution, answer.meta.licence) == ("Sky Inc.", "CC BY 4.0")
    assert kinds(answer.meta.attempts) == ["ok"]
    assert "ops@example.org" in upstream.requests[0].headers["User-Agent"]


async def test_the_same_question_is_answered_from_the_cache(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/sky"] = {"t": 1}
    engine = bench.engine(a_provider(upstream, "sky"))
    await engine.ask(ME, "weather.current", Question())
    again = await engine.ask(ME, "weather.current", Question())
    fresh = await engine.ask(ME, "weather.current", Question(), cache="refresh")
    assert (again.meta.cache, again.meta.provider, again.meta.attempts) == ("hit", "sky", ())
    assert fresh.meta.cache == "bypass"
    assert upstream.count("/sky") == 2


async def test_a_hundred_equal_questions_at_once_are_one_call(bench: Bench, upstream: Upstream) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.05)
        return web.json_response({"t": 1})

    upstream.answers["/sky"] = slow
    engine = bench.engine(a_provider(upstream, "sky"))
    answers = await asyncio.gather(*(engine.ask(ME, "weather.current", Question()) for _ in range(100)))
    assert {answer.data for answer in answers} == {Weather(1)}
    assert upstream.count("/sky") == 1


@pytest.mark.parametrize(
    ("first_says", "kind", "times"),
    [
        (web.HTTPInternalServerError(), "upstream_5xx", 2),
        (web.HTTPUnauthorized(), "auth", 1),
        (web.HTTPTooManyRequests(), "rate", 1),
        (web.Response(status=402), "quota", 1),
        ({"nothing": 1}, "decode", 1),
        (web.Response(body=b"<html>"), "decode", 1),
    ],
)
async def test_the_next_provider_answers_when_the_first_does_not(
    bench: Bench, upstream: Upstream, first_says: Any, kind: str, times: int
) -> None:
    upstream.answers |= {"/first": first_says, "/second": {"t": 2}}
    engine = bench.engine(a_provider(upstream, "first", rank=90), a_provider(upstream, "second", rank=10))
    answer = await engine.ask(ME, "weather.current", Question())
    assert answer.meta.provider == "second"
    assert kinds(answer.meta.attempts) == [kind] * times + ["ok"]


async def test_what_the_caller_got_wrong_is_not_tried_elsewhere(bench: Bench, upstream: Upstream) -> None:
    upstream.answers |= {"/first": web.HTTPBadRequest(), "/second": {"t": 2}}
    engine = bench.engine(a_provider(upstream, "first", rank=90), a_provider(upstream, "second"))
    with pytest.raises(UpstreamRefusedInput) as refused:
        await engine.ask(ME, "weather.current", Question())
    assert kinds(refused.value.facts["attempts"]) == ["bad_request"]
    assert upstream.count("/second") == 0


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        (web.HTTPBadGateway(), ProviderFailed),
        (web.HTTPForbidden(), ProviderUnavailable),
        (web.HTTPNotFound(), NoMatch),
        ([1, 2], ProviderAnswerUnreadable),
    ],
)
async def test_the_last_error_decides_what_the_caller_is_told(
    bench: Bench, upstream: Upstream, says: Any, problem: type[Exception]
) -> None:
    upstream.answers["/sky"] = [says] if isinstance(says, list) is False else web.json_response(says)
    with pytest.raises(problem):
        await bench.engine(a_provider(upstream, "sky")).ask(ME, "weather.now", Question())


async def test_a_refusal_hidden_in_a_good_status_is_found(bench: Bench, upstream: Upstream) -> None:
    def refusal(reply: Reply) -> ErrorKind | None:
        return ErrorKind.QUOTA if b"limit" in reply.body else None

    def encode(_query: Question, _account: Account) -> Call:
        return Call("GET", "/sky")

    upstream.answers["/sky"] = {"t": 0, "note": "daily limit reached"}
    engine = bench.engine(a_provider(upstream, "sky", codec=Codec(encode, decode, refusal)))
    with pytest.raises(QuotaExhausted):
        await engine.ask(ME, "weather.now", Question())


async def test_a_window_is_never_overshot_and_says_when_it_opens(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/sky"] = {"t": 1}
    engine = bench.engine(a_provider(upstream, "sky", limits=(Limit(limit=3, period="day"),)))
    results = await asyncio.gather(
        *(engine.ask(ME, "weather.now", Question()) for _ in range(8)), return_exceptions=True
    )
    refused = [each for each in results if isinstance(each, QuotaExhausted)]
    assert len(refused) == 5
    assert upstream.count("/sky") == 3
    assert 0 < (refused[0].retry_after_s or 0) <= 86_400


async def test_the_callers_own_limit_stops_it_at_every_provider(bench: Bench, upstream: Upstream) -> None:
    class OneADay:
        async def allowance(self, asker: Any, operation: Any) -> Allowance:
            del asker, operation
            window = WindowSpec(subject="consumer:key:1", unit="requests", kind="fixed", limit=1, period="day")
            return Allowance(windows=(window,))

    upstream.answers |= {"/one": {"t": 1}, "/two": {"t": 2}}
    engine = bench.engine(a_provider(upstream, "one"), a_provider(upstream, "two"), consumers=OneADay())
    await engine.ask(ME, "weather.now", Question())
    with pytest.raises(ConsumerQuotaExhausted):
        await engine.ask(ME, "weather.now", Question())
    assert len(upstream.requests) == 1


async def test_a_call_that_was_never_sent_costs_nothing(bench: Bench) -> None:
    gone = Upstream(url="http://127.0.0.1:1")
    limit = Limit(limit=5, period="day")
    provider = a_provider(gone, "gone", limits=(limit,))
    with pytest.raises(ProviderUnavailable):
        await bench.engine(provider).ask(ME, "weather.now", Question())
    window = WindowSpec(subject="upstream:gone:keyless", unit="requests", kind="fixed", limit=5, period="day")
    [state] = await bench.ledger.states([window])
    assert (state.used, state.reserved) == (0, 0)
    assert [use.outcome for use in bench.usage] == ["connect", "connect"]


async def test_what_an_upstream_says_is_left_lowers_our_count(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/sky"] = web.Response(body=b'{"t": 1}', headers={"X-Left": "2"})
    limit = Limit(limit=100, period="day")
    headers = (LimitHeader(remaining="x-left", per_s=86_400),)
    engine = bench.engine(a_provider(upstream, "sky", limits=(limit,), limit_headers=headers))
    await engine.ask(ME, "weather.now", Question())
    await engine.fullness.settled()
    window = WindowSpec(subject="upstream:sky:keyless", unit="requests", kind="fixed", limit=100, period="day")
    [state] = await bench.ledger.states([window])
    assert state.remaining == 2


async def test_an_order_that_may_have_been_carried_out_goes_to_nobody_else(bench: Bench, upstream: Upstream) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(600)
        return web.json_response({})

    upstream.answers |= {"/first": never, "/second": {"t": 1}}
    engine = bench.engine(
        a_provider(upstream, "first", method="POST", rank=90, time_limits=QUICK),
        a_provider(upstream, "second", method="POST"),
    )
    with pytest.raises(OutcomeUnknown) as unknown:
        await engine.ask(ME, "mail.send", Question())
    assert unknown.value.facts["state"] == "unknown"
    assert (upstream.count("/first"), upstream.count("/second")) == (1, 0)


async def test_a_read_that_times_out_goes_to_the_next(bench: Bench, upstream: Upstream) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(600)
        return web.json_response({})

    upstream.answers |= {"/first": never, "/second": {"t": 1}}
    engine = bench.engine(a_provider(upstream, "first", rank=90, time_limits=QUICK), a_provider(upstream, "second"))
    answer = await engine.ask(ME, "weather.now", Question(), time_limit_s=120)
    assert (answer.meta.provider, upstream.count("/first")) == ("second", 2)


async def test_all_attempts_together_have_one_time_limit(bench: Bench, upstream: Upstream) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(600)
        return web.json_response({})

    upstream.answers |= {"/first": never, "/second": never}
    engine = bench.engine(a_provider(upstream, "first"), a_provider(upstream, "second"))
    started = asyncio.get_running_loop().time()
    with pytest.raises(ProviderTimeout):
        await engine.ask(ME, "weather.now", Question(), time_limit_s=0.3)
    assert asyncio.get_running_loop().time() - started < 60


async def test_a_provider_that_keeps_failing_is_left_alone(bench: Bench, upstream: Upstream) -> None:
    upstream.answers |= {"/first": web.HTTPInternalServerError(), "/second": {"t": 1}}
    engine = bench.engine(a_provider(upstream, "first", rank=90), a_provider(upstream, "second", rank=1))
    for _ in range(6):
        await engine.ask(ME, "weather.now", Question(), order=["first"])
    asked = upstream.count("/first")
    answer = await engine.ask(ME, "weather.now", Question(), order=["first"])
    assert asked == upstream.count("/first") == 5
    explained = await engine.explain(ME, "weather.now", Question())
    assert [each.refused for each in explained.candidates if each.provider == "first"] == ["its breaker is open"]
    assert answer.meta.provider == "second"


async def test_an_old_answer_stands_in_and_says_so(bench: Bench, upstream: Upstream, later: Any) -> None:
    upstream.answers["/sky"] = {"t": 1}
    engine = bench.engine(a_provider(upstream, "sky"))
    await engine.ask(ME, "weather.current", Question())
    upstream.answers["/sky"] = web.HTTPServiceUnavailable()
    with later(120):
        answer = await engine.ask(ME, "weather.current", Question())
        assert (answer.data, answer.meta.stale, answer.meta.cache) == (Weather(1), True, "stale")
        assert answer.meta.warnings
    with later(700), pytest.raises(ProviderFailed):
        await engine.ask(ME, "weather.current", Question())


async def test_explain_agrees_with_what_ask_then_does(bench: Bench, upstream: Upstream) -> None:
    upstream.answers |= {"/a": {"t": 1}, "/b": {"t": 2}, "/c": {"t": 3}}
    paid = (Price(unit="requests", microusd=500),)
    engine = bench.engine(
        a_provider(upstream, "a", prices=paid, rank=99),
        a_provider(upstream, "b", rank=40),
        a_provider(upstream, "c", auth=Auth.bearer()),
    )
    for options in ({}, {"policy": "quality"}, {"policy": "cheap"}, {"order": ["a"]}, {"ignore": ["b"]}):
        explained = await engine.explain(ME, "weather.now", Question(), **options)
        answer = await engine.ask(ME, "weather.now", Question(), **options)
        assert explained.candidates[0].provider == answer.meta.provider
        assert "no usable credential" in [each.refused for each in explained.candidates]
    assert answer.meta.cost_microusd == 500
    assert len(upstream.requests) == 5


async def test_nobody_set_up_names_the_settings_and_not_the_values(bench: Bench, upstream: Upstream) -> None:
    engine = bench.engine(a_provider(upstream, "sky", auth=Auth.query("apikey")))
    with pytest.raises(ProviderUnavailable) as refused:
        await engine.ask(ME, "weather.current", Question())
    assert refused.value.facts["missing"] == ["OSSATURE_HUB_KEY_SKY"]


@pytest.mark.parametrize(
    "auth",
    [Auth.bearer(), Auth.header("X-Key"), Auth.query("apikey"), Auth.basic("api"), Auth.path()],
)
async def test_a_secret_is_placed_and_never_told(bench: Bench, upstream: Upstream, auth: Auth) -> None:
    async def show(request: web.Request) -> web.Response:
        placed = f"{request.rel_url} {dict(request.headers)}"
        assert "s3cr3t-key" in placed or "YXBpOnMzY3IzdC1rZXk=" in placed
        return web.Response(status=500, text=placed)

    upstream.answers |= {"/sky": show, "/s3cr3t-key/sky": show}
    provider = a_provider(upstream, "sky", auth=auth)
    if auth.kind == "path":
        provider = Provider(provider.manifest, {"weather.now": Codec(lambda _q, _a: Call("GET", "/{key}/sky"), decode)})
    engine = bench.engine(provider, keys={"sky": "s3cr3t-key"})
    with pytest.raises(ProviderFailed) as failed:
        await engine.ask(ME, "weather.now", Question())
    assert "s3cr3t" not in f"{failed.value.to_dict()} {bench.usage}"


async def test_several_steps_are_several_attempts(bench: Bench, upstream: Upstream) -> None:
    def steps(query: Question, account: Account) -> Any:
        del account
        found = yield Call("GET", "/ids", query={"q": query.place})
        summary = yield Call("GET", f"/{found.json()['id']}")
        return Weather(summary.json()["t"])

    upstream.answers |= {"/ids": {"id": "seven"}, "/seven": {"t": 7}}
    engine = bench.engine(a_provider(upstream, "sky", codec=Codec(steps=steps)))
    answer = await engine.ask(ME, "weather.now", Question())
    assert (answer.data, kinds(answer.meta.attempts)) == (Weather(7), ["ok", "ok"])


async def test_a_local_provider_computes_its_answer(bench: Bench, upstream: Upstream) -> None:
    engine = bench.engine(a_provider(upstream, "local", codec=Codec(compute=lambda _q, _a: Weather(4))))
    answer = await engine.ask(ME, "weather.now", Question())
    assert (answer.data, upstream.requests) == (Weather(4), [])


async def test_the_installation_says_how_long_a_question_may_take_that_says_nothing(
    bench: Bench, upstream: Upstream
) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(600)
        return web.json_response({})

    upstream.answers["/sky"] = never
    engine = bench.engine(a_provider(upstream, "sky"), around=Surroundings(time_limit_s=0.3))
    with pytest.raises(ProviderTimeout):
        await engine.ask(ME, "weather.now", Question())


async def test_a_slow_provider_is_raced_when_asked_for(bench: Bench, upstream: Upstream) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(600)
        return web.json_response({"t": 1})

    upstream.answers |= {"/first": {"t": 1}, "/second": {"t": 2}}
    engine = bench.engine(a_provider(upstream, "first", rank=90), a_provider(upstream, "second", rank=1))
    for _ in range(10):
        await engine.ask(ME, "weather.now", Question(), only=["first"])
    upstream.answers["/first"] = slow
    answer = await engine.ask(ME, "weather.now", Question(), order=["first"], hedge=True)
    assert answer.meta.provider == "second"
    assert kinds(answer.meta.attempts)[0] == "ok"
    assert [use.outcome for use in bench.usage][-2:] == ["ok", "cancelled"]


async def test_a_caller_that_leaves_is_settled(bench: Bench, upstream: Upstream) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(600)
        return web.json_response({"t": 1})

    upstream.answers["/sky"] = slow
    engine = bench.engine(a_provider(upstream, "sky", limits=(Limit(limit=5, period="day"),)))
    asked = asyncio.create_task(engine.ask(ME, "weather.now", Question()))
    while not upstream.count("/sky"):  # noqa: ASYNC110 - the upstream is another server
        await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    window = WindowSpec(subject="upstream:sky:keyless", unit="requests", kind="fixed", limit=5, period="day")
    [state] = await bench.ledger.states([window])
    assert (state.used, state.reserved) == (1, 0)
    assert [(use.outcome, use.estimated) for use in bench.usage] == [("cancelled", True)]


async def test_unknown_names_get_the_nearest_ones(bench: Bench, upstream: Upstream) -> None:
    engine = bench.engine(a_provider(upstream, "sky"))
    with pytest.raises(OperationUnknown) as unknown:
        await engine.ask(ME, "weather.curent", Question())
    assert unknown.value.facts["near"][0] == "weather.current"
    with pytest.raises(InvalidInput) as wrong:
        await engine.ask(ME, "weather.current", {"place": 7})
    assert [error.pointer for error in wrong.value.errors] == ["/place"]


async def test_options_that_contradict_each_other_are_refused(bench: Bench, upstream: Upstream) -> None:
    engine = bench.engine(a_provider(upstream, "sky"))
    for options in ({"only": ["sky"], "ignore": ["sky"]}, {"policy": "luck"}, {"sort": "x"}, {"only": ["nobody"]}):
        with pytest.raises(OptionsRefused):
            await engine.ask(ME, "weather.current", Question(), **options)
    assert upstream.requests == []


async def test_a_slot_of_a_pace_is_waited_for(bench: Bench, upstream: Upstream) -> None:
    upstream.answers["/sky"] = {"t": 1}
    engine = bench.engine(a_provider(upstream, "sky", limits=(Limit(limit=1, per_s=0.2, kind="pace"),)))
    started = asyncio.get_running_loop().time()
    await asyncio.gather(*(engine.ask(ME, "weather.now", Question()) for _ in range(3)))
    assert asyncio.get_running_loop().time() - started >= 0.38


async def test_without_a_ledger_free_reads_go_on_in_small_and_orders_do_not(
    bench: Bench, upstream: Upstream, tmp_path: Path
) -> None:
    from ossature.kernel.outbound.ledger.sqlite import SqliteLedger
    from ossature.kernel.outbound.ledger.values import LedgerUnavailable

    upstream.answers["/sky"] = {"t": 1}
    away = SqliteLedger(tmp_path, durability="normal", busy_time_limit_s=0.2)  # a folder is no database
    engine: Engine = bench.engine(a_provider(upstream, "sky", limits=(Limit(limit=20, per_s=60),)), ledger=away)
    answers = [await engine.ask(ME, "weather.now", Question()) for _ in range(2)]
    assert all(answer.meta.warnings for answer in answers)
    with pytest.raises(ProviderRateLimited):
        await engine.ask(ME, "weather.now", Question())
    with pytest.raises(LedgerUnavailable):
        await engine.ask(ME, "mail.send", Question())
    assert upstream.count("/sky") == 2
    await away.close()
