import asyncio
import base64
import json
import time
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import false, func, select, update

from ossature.kernel.auth.authenticator import CredentialRefused
from ossature.kernel.auth.gate import SIGNING
from ossature.kernel.auth.keys import usecases as keys
from ossature.kernel.auth.passwords import Passwords
from ossature.kernel.auth.sessions.domain import RefreshRefused
from ossature.kernel.auth.sessions.store import RefreshRow
from ossature.kernel.auth.signin import usecases
from ossature.kernel.auth.signin.usecases import Attempt, SignedIn
from ossature.kernel.auth.tokens.signer import TokenRefused, TokenSigner
from ossature.kernel.auth.users import usecases as users
from ossature.kernel.auth.users.domain import SignInPaused, SignInRefused
from ossature.kernel.auth.users.usecases import NewUser, UserHere
from ossature.kernel.context import SYSTEM_TENANT, Actor
from ossature.kernel.http.ports import Identity
from ossature.kernel.tenants import usecases as tenants

PASSWORD = "seven green bottles"


def nobody(ip: str = "192.0.2.9") -> Identity:
    return Identity(SYSTEM_TENANT, Actor(kind="anonymous", id=None, name="anonymous", ip=ip), f"ip:{ip}")


async def a_user(world: Any, *, email: str = "ada@example.com", roles: Any = ("user",), **about: Any) -> UserHere:
    async with world.acting() as ctx:
        return await users.create_user(ctx, NewUser(email=email, name="Ada", roles=roles, password=PASSWORD, **about))


async def sign_in(world: Any, email: str = "ada@example.com", password: str = PASSWORD, **how: Any) -> SignedIn:
    ip = how.pop("ip", "192.0.2.9")
    async with world.acting(nobody(ip)) as ctx:
        return await usecases.sign_in(ctx, Attempt(email, password, **how))


async def refresh(world: Any, token: str) -> SignedIn:
    async with world.acting(nobody()) as ctx:
        return await usecases.refresh(ctx, token)


async def by_token(world: Any, signed_in: SignedIn) -> Identity:
    return await world.who(f"Bearer {signed_in.tokens.access_token}")


async def test_who_knows_the_password_gets_tokens_that_say_who_they_are(world: Any) -> None:
    user = await a_user(world, bound={"driver": "d1"})
    signed_in = await sign_in(world, "ADA@example.com ")
    identity = await by_token(world, signed_in)
    assert identity.actor.id == user.user.id
    assert identity.actor.kind == "user"
    assert identity.subject == f"user:{user.user.id}"
    assert identity.actor.bound == {"driver": "d1"}
    assert identity.actor.may("write:orders")
    assert not identity.actor.may("write:keys")
    assert identity.tenant.slug == "main"


async def test_a_wrong_password_an_unknown_account_and_a_closed_one_are_refused_alike(world: Any) -> None:
    await a_user(world)
    closed = await a_user(world, email="bob@example.com")
    async with world.acting() as ctx:
        await users.deactivate_user(ctx, closed.user.id)
    refusals = []
    for email, password in (("ada@example.com", "wrong"), ("eve@example.com", PASSWORD), ("bob@example.com", PASSWORD)):
        with pytest.raises(SignInRefused) as caught:
            await sign_in(world, email, password)
        refusals.append(caught.value.to_dict())
    with pytest.raises(SignInRefused) as caught:
        await sign_in(world, tenant="elsewhere")
    assert all(one == caught.value.to_dict() for one in refusals)


async def test_an_unknown_account_takes_as_much_work_as_a_wrong_password() -> None:
    passwords = Passwords(threads=1)
    stored = await passwords.hash(PASSWORD)
    await passwords.verify("x", None)

    async def took(hashed: str | None) -> float:
        started = time.process_time()
        assert not (await passwords.verify("wrong", hashed)).right
        return time.process_time() - started

    known, unknown = min([await took(stored) for _ in range(3)]), min([await took(None) for _ in range(3)])
    passwords.close()
    assert 0.5 < known / unknown < 2


async def test_failures_slow_down_and_the_right_password_does_not_pass_during_a_pause(world: Any) -> None:
    await a_user(world)
    for _ in range(world.gate.settings.lock_after):
        with pytest.raises(SignInRefused):
            await sign_in(world, password="wrong")
    with pytest.raises(SignInPaused) as caught:
        await sign_in(world)
    assert 50 < caught.value.retry_after_s <= 60
    world.time.forward(seconds=61)
    assert (await sign_in(world)).tokens is not None


async def test_each_further_failure_doubles_the_pause_up_to_a_limit(world: Any) -> None:
    waits = []
    for _ in range(14):
        with pytest.raises((SignInRefused, SignInPaused)) as caught:
            await sign_in(world, "eve@example.com", "wrong")
        if isinstance(caught.value, SignInPaused):
            waits.append(round(caught.value.retry_after_s))
            world.time.forward(seconds=caught.value.retry_after_s)
    assert waits == [60, 120, 240, 480, 960][: len(waits)]
    assert len(waits) >= 4


async def test_an_account_that_does_not_exist_is_paused_like_one_that_does(world: Any) -> None:
    await a_user(world)
    answers: dict[str, list[str]] = {}
    for email, ip in (("ada@example.com", "192.0.2.1"), ("eve@example.com", "192.0.2.2")):
        for _ in range(7):
            with pytest.raises((SignInRefused, SignInPaused)) as caught:
                await sign_in(world, email, "wrong", ip=ip)
            answers.setdefault(email, []).append(type(caught.value).__name__)
    assert answers["ada@example.com"] == answers["eve@example.com"]


async def test_somebody_elses_failures_from_elsewhere_do_not_lock_me_out_at_once(world: Any) -> None:
    await a_user(world)
    for _ in range(6):
        with pytest.raises((SignInRefused, SignInPaused)):
            await sign_in(world, password="wrong", ip="198.51.100.1")
    assert (await sign_in(world, ip="192.0.2.1")).tokens is not None


async def test_an_account_that_is_guessed_at_from_many_addresses_is_paused_for_all(world: Any) -> None:
    await a_user(world)
    for number in range(world.gate.settings.lock_after * 4):
        with pytest.raises(SignInRefused):
            await sign_in(world, password="wrong", ip=f"198.51.100.{number}")
    with pytest.raises(SignInPaused):
        await sign_in(world, ip="203.0.113.1")


async def test_guesses_that_come_together_are_all_counted(world: Any) -> None:
    await a_user(world)
    answers = await asyncio.gather(*(sign_in(world, password="wrong") for _ in range(12)), return_exceptions=True)
    assert sum(isinstance(a, SignInRefused) for a in answers) <= world.gate.settings.lock_after
    assert all(isinstance(a, (SignInRefused, SignInPaused)) for a in answers)


async def test_signing_in_rightly_many_times_pauses_nobody(world: Any) -> None:
    await a_user(world)
    for _ in range(15):
        await sign_in(world)


async def test_an_access_token_ends_by_itself(world: Any) -> None:
    await a_user(world)
    signed_in = await sign_in(world)
    await by_token(world, signed_in)
    world.time.forward(seconds=world.gate.settings.access_token_s + 6)
    with pytest.raises(TokenRefused):
        await by_token(world, signed_in)


async def test_a_refresh_token_gives_new_tokens_once(world: Any) -> None:
    await a_user(world)
    first = await sign_in(world)
    second = await refresh(world, first.tokens.refresh_token)
    assert second.tokens.refresh_token != first.tokens.refresh_token
    assert (await by_token(world, second)).actor.name == "Ada"
    third = await refresh(world, second.tokens.refresh_token)
    assert (await by_token(world, third)).actor.name == "Ada"


async def test_a_refresh_token_that_is_used_twice_ends_the_session_for_both(world: Any) -> None:
    await a_user(world)
    first = await sign_in(world)
    second = await refresh(world, first.tokens.refresh_token)
    await by_token(world, second)
    with pytest.raises(RefreshRefused):
        await refresh(world, first.tokens.refresh_token)
    with pytest.raises(CredentialRefused):
        await by_token(world, second)
    with pytest.raises(RefreshRefused):
        await refresh(world, second.tokens.refresh_token)
    assert [wire for wire, _ in await world.facts()] == ["session.stolen"]


async def test_of_two_refreshes_at_once_one_wins_and_the_session_ends(world: Any) -> None:
    await a_user(world)
    first = await sign_in(world)
    answers = await asyncio.gather(
        *(refresh(world, first.tokens.refresh_token) for _ in range(2)), return_exceptions=True
    )
    won = [one for one in answers if isinstance(one, SignedIn)]
    assert len(won) <= 1
    for one in won:
        with pytest.raises(CredentialRefused):
            await by_token(world, one)


async def test_an_unknown_or_old_refresh_token_is_refused(world: Any) -> None:
    await a_user(world)
    signed_in = await sign_in(world)
    with pytest.raises(RefreshRefused):
        await refresh(world, "osr_nobody-was-given-this")
    world.time.forward(seconds=world.gate.settings.refresh_token_s + 1)
    with pytest.raises(RefreshRefused):
        await refresh(world, signed_in.tokens.refresh_token)


async def test_signing_out_ends_the_session_at_once(world: Any) -> None:
    await a_user(world)
    signed_in = await sign_in(world)
    identity = await by_token(world, signed_in)
    session_id = world.gate.signer.read(signed_in.tokens.access_token).session_id
    async with world.acting(identity) as ctx:
        assert await usecases.sign_out(ctx, session_id)
    with pytest.raises(CredentialRefused):
        await by_token(world, signed_in)
    with pytest.raises(RefreshRefused):
        await refresh(world, signed_in.tokens.refresh_token)


async def test_nobody_ends_the_session_of_somebody_else(world: Any) -> None:
    await a_user(world)
    await a_user(world, email="bob@example.com")
    signed_in = await sign_in(world)
    bob = await by_token(world, await sign_in(world, "bob@example.com"))
    session_id = world.gate.signer.read(signed_in.tokens.access_token).session_id
    async with world.acting(bob) as ctx:
        assert not await usecases.sign_out(ctx, session_id)
    assert (await by_token(world, signed_in)).actor.name == "Ada"


async def test_a_deactivated_user_is_refused_at_once(world: Any) -> None:
    user = await a_user(world)
    signed_in = await sign_in(world)
    await by_token(world, signed_in)
    async with world.acting() as ctx:
        await users.deactivate_user(ctx, user.user.id)
    with pytest.raises(CredentialRefused):
        await by_token(world, signed_in)
    assert "user.deactivated" in [wire for wire, _ in await world.facts()]


async def test_new_roles_are_in_force_at_once_and_a_removed_member_is_out(world: Any) -> None:
    user = await a_user(world)
    signed_in = await sign_in(world)
    assert not (await by_token(world, signed_in)).actor.may("write:keys")
    async with world.acting() as ctx:
        await tenants.change_member(ctx, user.user.id, roles=["admin"])
    assert (await by_token(world, signed_in)).actor.may("write:keys")
    async with world.acting() as ctx:
        await tenants.remove_member(ctx, user.user.id)
    with pytest.raises(CredentialRefused):
        await by_token(world, signed_in)


async def test_a_console_session_is_a_cookie_that_ends_without_use(world: Any) -> None:
    await a_user(world)
    signed_in = await sign_in(world, cookie=True)
    assert signed_in.tokens is None
    for _ in range(4):
        assert (await world.who(f"session={signed_in.cookie}")).actor.name == "Ada"
        world.time.forward(seconds=world.gate.settings.session_idle_s * 0.9)
    world.time.forward(seconds=world.gate.settings.session_idle_s * 0.2)
    with pytest.raises(CredentialRefused):
        await world.who(f"session={signed_in.cookie}")
    with pytest.raises(CredentialRefused):
        await world.who(f"Bearer {signed_in.cookie}")


async def test_a_key_opens_a_console_session_that_ends_with_the_key(world: Any) -> None:
    async with world.acting() as ctx:
        issued = await keys.create_key(ctx, keys.NewKey(name="console", roles=["admin"]))
    identity = await world.who(issued.secret)
    async with world.acting(identity) as ctx:
        cookie = await usecases.open_console(ctx)
    assert (await world.who(f"session={cookie}")).actor.id == issued.key.id
    async with world.acting() as ctx:
        await keys.revoke_key(ctx, issued.key.id)
    with pytest.raises(CredentialRefused):
        await world.who(f"session={cookie}")


async def test_changing_the_password_needs_the_present_one_and_ends_every_session(world: Any) -> None:
    await a_user(world)
    signed_in = await sign_in(world)
    identity = await by_token(world, signed_in)
    async with world.acting(identity) as ctx:
        with pytest.raises(SignInRefused):
            await users.change_own_password(ctx, present="wrong", password="a quite different thing")
        await users.change_own_password(ctx, present=PASSWORD, password="a quite different thing")
    with pytest.raises(CredentialRefused):
        await by_token(world, signed_in)
    with pytest.raises(SignInRefused):
        await sign_in(world)
    assert (await sign_in(world, password="a quite different thing")).tokens is not None


async def test_a_replaced_signing_key_lets_old_tokens_live_and_then_leaves_the_key_set(world: Any) -> None:
    await a_user(world)
    old = await sign_in(world)
    world.time.forward(seconds=90)
    async with world.acting() as ctx:
        assert await usecases.rotate_signing_key(ctx) is None
    await world.gate.rotate_signing_key()
    new = await sign_in(world)
    assert [(await by_token(world, one)).actor.name for one in (old, new)] == ["Ada", "Ada"]
    assert len(world.gate.signer.key_set()["keys"]) == 2
    world.time.forward(days=31)
    async with world.acting() as ctx:
        assert await usecases.rotate_signing_key(ctx) is not None
    assert len(world.gate.signer.key_set()["keys"]) == 2


async def test_another_process_reads_tokens_that_were_signed_here(world: Any) -> None:
    await a_user(world)
    signed_in = await sign_in(world)
    other = world.another_gate()
    signer = await other.ready_to_read(signed_in.tokens.access_token)
    assert signer.read(signed_in.tokens.access_token).user_id == signed_in.user.id
    other.close()


def test_a_forged_or_foreign_token_is_refused() -> None:
    ours = TokenSigner(b"s" * 32, issuer="https://ours", life_s=60)
    theirs = TokenSigner(b"t" * 32, issuer="https://ours", life_s=60)
    other_house = TokenSigner(b"s" * 32, issuer="https://theirs", life_s=60)
    for signer in (ours, theirs, other_house):
        signer.use(["k1"])
    someone = [uuid4() for _ in range(3)]
    good = ours.sign(*someone)
    assert ours.read(good).user_id == someone[0]
    header, claims, signature = good.split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "k1"}).encode()).rstrip(b"=").decode()
    hmac = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "k1"}).encode()).rstrip(b"=").decode()
    changed = base64.urlsafe_b64encode(b'{"sub":"root"}').rstrip(b"=").decode()
    forged = [
        theirs.sign(*someone),
        other_house.sign(*someone),
        f"{none}.{claims}.",
        f"{hmac}.{claims}.{signature}",
        f"{header}.{changed}.{signature}",
        f"{header}.{claims}.{signature[:-4]}AAAA",
        "a.b.c",
        "",
    ]
    for token in forged:
        with pytest.raises(TokenRefused):
            ours.read(token)


@pytest.mark.parametrize(
    "head", [b'["alg"]', b'"alg"', b"[]", b"1", b"null", b"[" * 20_000, b'{"alg":"Ed25519","kid":[1]}']
)
async def test_a_token_with_a_head_that_is_none_is_refused(world: Any, head: bytes) -> None:
    part = base64.urlsafe_b64encode(head).rstrip(b"=").decode()
    with pytest.raises(TokenRefused):
        await world.who(f"Bearer {part}.e30.eA")


async def test_a_key_that_is_replaced_while_keys_are_read_signs_all_the_same(world: Any) -> None:
    await world.gate.ready_to_sign()
    other = world.another_gate()
    reading = asyncio.create_task(other.ready_to_sign())
    while not reading.done():
        other.registry.signals.publish(SIGNING)
        await asyncio.sleep(0)
    world.time.forward(minutes=2)
    newest = await world.gate.rotate_signing_key()
    assert (await other.ready_to_sign()).current == newest
    other.close()


async def test_the_key_that_was_made_last_signs_also_after_the_clock_was_set_back(world: Any) -> None:
    await world.gate.rotate_signing_key()
    world.time.forward(days=-2)
    newest = await world.gate.rotate_signing_key()
    assert (await world.gate.ready_to_sign()).current == newest


async def test_old_tokens_of_a_session_that_goes_on_are_forgotten(world: Any) -> None:
    await a_user(world)
    signed_in = await sign_in(world)
    for _ in range(3):
        world.time.forward(days=10)
        assert signed_in.tokens is not None
        signed_in = await refresh(world, signed_in.tokens.refresh_token)
    async with world.acting() as ctx:
        await usecases.delete_spent(ctx)
    async with world.database.begin() as db:
        left = await db.scalar(select(func.count()).select_from(RefreshRow))
    assert left == 3  # those of the last three weeks; the first one is gone
    assert signed_in.tokens is not None
    await refresh(world, signed_in.tokens.refresh_token)


async def test_a_session_that_was_seen_a_moment_ago_is_only_read(world: Any) -> None:
    await a_user(world)
    cookie = (await sign_in(world, cookie=True)).cookie
    async with world.database.begin() as writer:
        await writer.execute(update(RefreshRow).where(false()).values(used_at=None))  # nobody else can write now
        assert (await world.who(f"session={cookie}")).actor.kind == "user"
