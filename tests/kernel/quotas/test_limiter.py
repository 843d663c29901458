import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from ossature.kernel.context import ANONYMOUS, SYSTEM_TENANT, Tenant
from ossature.kernel.http.ports import Identity, RateState
from ossature.kernel.quotas.domain import RATES, SENSITIVE, rates
from ossature.kernel.quotas.limiter import EdgeLimiter
from ossature.kernel.quotas.rates import RateBook
from ossature.kernel.quotas.settings import QuotaSettings
from ossature.kernel.quotas.shared import SharedWindows
from ossature.kernel.quotas.window import Window, WindowSpec
from ossature.kernel.service import Rate


class Time:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


def a_caller(name: str = "key:1", tenant: Tenant | None = None) -> Identity:
    return Identity(tenant or Tenant(uuid4(), "acme", "Acme"), ANONYMOUS, name)


NOBODY = Identity(SYSTEM_TENANT, ANONYMOUS, "ip:192.0.2.1")


def a_limiter(time: Time, windows: str = "5/60", **options: object) -> EdgeLimiter:
    settings = QuotaSettings(rates={"test": windows}, **{k: v for k, v in options.items() if "factor" in k})
    rest = {k: v for k, v in options.items() if "factor" not in k}
    return EdgeLimiter(settings, RateBook([], settings), time_s=time, **rest)


def ask(limiter: EdgeLimiter, who: Identity = NOBODY, ip: str = "192.0.2.1", rate: str = "test") -> RateState:
    state = limiter.admit(who, rate, ip)
    assert state is not None
    return state


def test_as_many_requests_pass_as_the_window_has_and_then_none() -> None:
    limiter = a_limiter(Time())
    assert [ask(limiter).allowed for _ in range(7)] == [True] * 5 + [False] * 2


def test_a_refusal_says_when_to_come_back_and_then_one_more_passes() -> None:
    time = Time()
    limiter = a_limiter(time)
    for _ in range(5):
        ask(limiter)
    refused = ask(limiter)
    time.now_s += refused.retry_after_s - 0.5
    assert not ask(limiter).allowed
    time.now_s += 0.6
    assert ask(limiter).allowed


def test_a_window_slides_so_a_burst_at_its_edge_is_not_doubled() -> None:
    time = Time()
    limiter = a_limiter(time, "10/60")
    time.now_s += 59
    assert all(ask(limiter).allowed for _ in range(10))
    time.now_s += 2
    assert not ask(limiter).allowed


def test_the_shortest_of_several_windows_refuses_first_and_a_refusal_uses_nothing_up() -> None:
    time = Time()
    limiter = a_limiter(time, "2/1 5/60")
    assert [ask(limiter).allowed for _ in range(4)] == [True, True, False, False]
    time.now_s += 2
    assert [ask(limiter).allowed for _ in range(2)] == [True, True]
    time.now_s += 2
    assert [ask(limiter).allowed for _ in range(2)] == [True, False]
    assert ask(limiter).window == "test-60"


def test_callers_do_not_use_up_each_others_windows_but_share_the_tenants() -> None:
    tenant = Tenant(uuid4(), "acme", "Acme")
    limiter = a_limiter(Time(), "2/60", tenant_factor=1.5, address_factor=100)
    first, second = a_caller("key:1", tenant), a_caller("key:2", tenant)
    assert [ask(limiter, first).allowed for _ in range(3)] == [True, True, False]
    assert [ask(limiter, second).allowed for _ in range(2)] == [True, False]
    assert ask(limiter, second).window == "test-tenant"
    assert ask(limiter, a_caller("key:3")).allowed


def test_one_address_with_many_keys_meets_the_window_of_the_address() -> None:
    limiter = a_limiter(Time(), "2/60", address_factor=2)
    answers = [ask(limiter, a_caller(f"key:{n}")) for n in range(6)]
    assert [a.allowed for a in answers] == [True] * 4 + [False] * 2
    assert answers[-1].window == "test-ip"
    assert ask(limiter, a_caller("key:9"), ip="192.0.2.2").allowed


def test_the_headers_state_the_policy_and_what_is_left() -> None:
    headers = dict(ask(a_limiter(Time(), "5/60 9/3600")).headers)
    assert headers[b"ratelimit-policy"] == b'"test-60";q=5;w=60, "test-3600";q=9;w=3600'
    assert headers[b"ratelimit"].startswith(b'"test-60";r=4;t=')


def test_without_a_shared_counter_each_of_three_processes_has_a_third() -> None:
    limiter = a_limiter(Time(), "9/60", processes=3)
    assert [ask(limiter).allowed for _ in range(4)] == [True, True, True, False]


def test_an_unknown_class_is_limited_like_the_default() -> None:
    assert dict(ask(a_limiter(Time()), rate="nothing_of_the_kind").headers)[b"ratelimit-policy"].startswith(
        b'"default-60"'
    )


def test_limits_that_are_switched_off_let_everybody_pass() -> None:
    settings = QuotaSettings(enabled=False, rates={"test": "1/60"})
    limiter = EdgeLimiter(settings, RateBook([], settings))
    assert all(ask(limiter).allowed for _ in range(3))


def test_the_operator_wins_over_a_service_and_a_service_over_the_house() -> None:
    book = rates([Rate("login", [(1, 60)]), Rate("mine", [(2, 60)])], {"mine": "3/60"})
    assert tuple(book["login"].windows) == ((1, 60),)
    assert tuple(book["mine"].windows) == ((3, 60),)
    assert "export" in book


def test_at_least_twenty_classes_of_routes_have_limits_of_their_own() -> None:
    assert len(SENSITIVE) >= 20
    assert next(iter(RATES["login"].windows)) == (5, 60)
    assert tuple(RATES["reset"].windows) == tuple(RATES["export"].windows) == ((10, 3600),)
    assert tuple(RATES["dispatch_run"].windows) == ((30, 3600),)


def test_memory_follows_the_callers_of_today() -> None:
    time = Time()
    limiter = a_limiter(time)
    for number in range(1000):
        ask(limiter, a_caller(f"key:{number}"))
    time.now_s += 200
    ask(limiter)
    assert len(limiter._windows) < 5


def test_no_stretch_of_a_window_lets_a_burst_pass_and_nearly_all_of_the_limit_can_be_used() -> None:
    window, now_s, passed = Window(WindowSpec("a", "a", 10, 60)), 600.0, []
    while now_s < 1200:
        if window.left(now_s) >= 1:
            window.count += 1
            passed.append(now_s)
        now_s += 0.25
    worst = max(sum(start <= at < start + 60 for at in passed) for start in passed)
    assert worst <= 12
    assert len(passed) >= 90


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def prefix() -> str:
    return f"ossature-test:{uuid4().hex}:"


def shared_limiter(redis: Redis, prefix: str, windows: str, **options: object) -> EdgeLimiter:
    settings = QuotaSettings(rates={"test": windows})
    shared = SharedWindows(redis, prefix=prefix, time_limit_s=2.0)
    return EdgeLimiter(settings, RateBook([], settings), shared=shared, **options)


async def ask_shared(limiter: EdgeLimiter, who: Identity = NOBODY) -> RateState:
    return limiter.admit(who, "test", "192.0.2.1") or await limiter.admit_shared(who, "test", "192.0.2.1")


async def test_processes_that_share_redis_pass_exactly_the_limit_together(redis: Redis, prefix: str) -> None:
    limiters = [shared_limiter(redis, prefix, "50/3600") for _ in range(3)]
    answers = await asyncio.gather(*(ask_shared(limiters[n % 3]) for n in range(90)))
    assert sum(a.allowed for a in answers) == 50
    refused = await ask_shared(limiters[0])
    assert refused.retry_after_s > 0
    assert dict(refused.headers)[b"ratelimit"].startswith(b'"test-3600";r=0;')


async def test_slices_of_a_large_window_never_add_up_to_more_than_it_has(redis: Redis, prefix: str) -> None:
    limiters = [shared_limiter(redis, prefix, "1000/3600") for _ in range(2)]
    passed = [0, 0]
    for number in range(1400):
        passed[number % 2] += (await ask_shared(limiters[number % 2])).allowed
    assert 980 <= sum(passed) <= 1000


async def test_within_a_slice_redis_is_not_asked(redis: Redis, prefix: str) -> None:
    limiter = shared_limiter(redis, prefix, "1000/3600")
    assert limiter.admit(NOBODY, "test", "192.0.2.1") is None
    await ask_shared(limiter)
    assert [limiter.admit(NOBODY, "test", "192.0.2.1") is not None for _ in range(10)] == [True] * 9 + [False]


async def test_without_redis_the_limit_is_divided_and_nobody_waits_for_it() -> None:
    redis = Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=0.2)
    limiter = shared_limiter(redis, "x:", "20/3600", processes=4)
    answers = [await ask_shared(limiter) for _ in range(8)]
    assert [a.allowed for a in answers] == [True] * 5 + [False] * 3
    await redis.aclose()


async def test_a_restarted_redis_that_forgot_the_script_is_counted_in_again(redis: Redis, prefix: str) -> None:
    limiter = shared_limiter(redis, prefix, "3/3600")
    assert (await ask_shared(limiter)).allowed
    await redis.script_flush()
    assert [(await ask_shared(limiter)).allowed for _ in range(3)] == [True, True, False]
