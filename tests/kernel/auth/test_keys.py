import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from ossature.kernel.auth.authenticator import AddressNotAllowed, CredentialRefused, GateAuthenticator
from ossature.kernel.auth.keys import domain, store, usecases
from ossature.kernel.auth.keys.domain import ExpiryPassed, KeyIsRevoked, UnknownKey
from ossature.kernel.auth.keys.usecases import IssuedKey, KeyChange, NewKey
from ossature.kernel.auth.roles import MoreThanYouHave, UnknownRole
from ossature.kernel.errors import Unauthenticated
from ossature.kernel.events.signals import Signals
from ossature.kernel.events.wires import RedisWire
from ossature.kernel.tenants import usecases as tenants
from ossature.kernel.tenants.domain import NewTenant, TenantIsSuspended, UnknownProject


async def a_key(world: Any, *, by: Any = None, roles: Sequence[str] = ("user",), **about: Any) -> IssuedKey:
    async with world.acting(by) as ctx:
        return await usecases.create_key(ctx, NewKey(name="importer", roles=roles, **about))


def test_a_secret_is_recognised_by_its_form_and_a_slip_of_the_pen_is_seen() -> None:
    secret = domain.new_secret()
    assert domain.well_formed(secret)
    assert not domain.well_formed(secret[:-1] + ("a" if secret[-1] != "a" else "b"))
    assert not domain.well_formed("oss_" + "x" * 49)
    assert not domain.well_formed(secret.replace("oss_", "osx_"))
    assert len({domain.new_secret() for _ in range(100)}) == 100


async def test_a_key_proves_who_asks_for_which_tenant_and_what_they_may(world: Any) -> None:
    issued = await a_key(world, roles=["user"])
    identity = await world.who(issued.secret)
    assert identity.tenant.slug == "main"
    assert identity.actor.kind == "key"
    assert identity.subject == f"key:{issued.key.id}"
    assert identity.actor.ip == "192.0.2.7"
    assert identity.actor.may("write:orders")
    assert not identity.actor.may("write:keys")


async def test_a_key_comes_as_a_bearer_or_alone(world: Any) -> None:
    issued = await a_key(world)
    for form in ("{}", "Bearer {}", "bearer  {}"):
        assert (await world.who(form.format(issued.secret))).actor.id == issued.key.id


async def test_nonsense_is_refused(world: Any) -> None:
    nonsense = [
        "",
        "oss_",
        "Bearer ",
        "Basic b3NzOm9zcw==",
        "Bearer a.b.c",
        "Bearer ..",
        "session=",
        "session=oss_x",
        "é",
    ]
    for credential in [*nonsense, "x" * 5000, "Bearer eyJhbGciOiJub25lIn0.e30."]:
        with pytest.raises(Unauthenticated):
            await world.authenticator.authenticate({}, credential.encode("latin-1"), "192.0.2.7")


async def test_a_well_formed_secret_that_was_never_given_is_refused(world: Any) -> None:
    with pytest.raises(CredentialRefused):
        await world.who(domain.new_secret())


async def test_the_secret_is_nowhere_in_the_database(world: Any) -> None:
    issued = await a_key(world)
    async with world.acting() as ctx:
        row = await store.key(ctx.db, world.tenant.id, issued.key.id)
    assert issued.secret not in repr(row)
    assert row.hint == f"{issued.secret[:8]}...{issued.secret[-4:]}"


async def test_scopes_narrow_what_the_roles_give(world: Any) -> None:
    issued = await a_key(world, roles=["admin"], scopes=["read:*", "write:orders", "delete:everything"])
    actor = (await world.who(issued.secret)).actor
    assert actor.may("read:keys")
    assert actor.may("write:orders")
    assert not actor.may("write:keys")
    assert not actor.may("delete:everything")


async def test_a_key_that_is_bound_to_addresses_is_refused_elsewhere(world: Any) -> None:
    issued = await a_key(world, ip_allow=["192.0.2.0/24", "2001:db8::/32"])
    assert (await world.who(issued.secret, "192.0.2.200")).actor.id == issued.key.id
    assert (await world.who(issued.secret, "::ffff:192.0.2.3")).actor.id == issued.key.id
    for ip in ("198.51.100.1", "2001:db9::1", "testclient", ""):
        with pytest.raises(AddressNotAllowed):
            await world.who(issued.secret, ip)


async def test_a_key_ends_at_its_expiry_even_if_it_was_just_used(world: Any) -> None:
    issued = await a_key(world, expires_at=world.time.now() + timedelta(seconds=10))
    await world.who(issued.secret)
    world.time.forward(seconds=10)
    with pytest.raises(CredentialRefused):
        await world.who(issued.secret)


async def test_a_key_cannot_be_made_to_expire_in_the_past(world: Any) -> None:
    with pytest.raises(ExpiryPassed):
        await a_key(world, expires_at=world.time.now())


async def test_a_revoked_key_is_refused_at_once_and_stays_so(world: Any) -> None:
    issued = await a_key(world)
    await world.who(issued.secret)
    async with world.acting() as ctx:
        await usecases.revoke_key(ctx, issued.key.id)
    with pytest.raises(CredentialRefused):
        await world.who(issued.secret)
    async with world.acting() as ctx:
        with pytest.raises(KeyIsRevoked):
            await usecases.revoke_key(ctx, issued.key.id)
    assert ("key.revoked", str(issued.key.id)) in [(w, p["key_id"]) for w, p in await world.facts()]


class UndoneError(Exception):
    pass


async def test_a_revocation_that_is_undone_leaves_the_key_valid(world: Any) -> None:
    issued = await a_key(world)

    async def revoke_and_fail() -> None:
        async with world.acting() as ctx:
            await usecases.revoke_key(ctx, issued.key.id)
            raise UndoneError

    with pytest.raises(UndoneError):
        await revoke_and_fail()
    assert (await world.who(issued.secret)).actor.id == issued.key.id


async def test_a_key_that_is_revoked_in_one_process_is_refused_in_another_before_it_is_asked_again(
    world: Any, redis_url: str
) -> None:
    redis = Redis.from_url(redis_url)
    prefix = f"ossature-test:{uuid4().hex}:"
    here, there = (Signals(RedisWire(redis, prefix)) for _ in range(2))
    await asyncio.gather(here.start(), there.start())
    other = GateAuthenticator(world.another_gate(there))
    world.gate.registry.signals = here
    issued = await a_key(world)
    credential = issued.secret.encode()
    await other.authenticate({}, credential, "192.0.2.7")
    assert other.lookup(credential, "192.0.2.7") is not None
    async with world.acting() as ctx:
        await usecases.revoke_key(ctx, issued.key.id)
    started = asyncio.get_running_loop().time()
    while other.lookup(credential, "192.0.2.7") is not None:
        await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - started < 60
    with pytest.raises(CredentialRefused):
        await other.authenticate({}, credential, "192.0.2.7")
    await asyncio.gather(here.close(), there.close())
    await redis.aclose()


async def test_what_is_read_while_a_key_is_revoked_is_not_remembered(world: Any) -> None:
    issued = await a_key(world)
    authenticator: GateAuthenticator = world.authenticator
    reading = asyncio.create_task(world.who(issued.secret))
    while not reading.done():
        authenticator.forget({"key": issued.key.id})
        await asyncio.sleep(0)
    assert authenticator.lookup(issued.secret.encode(), "192.0.2.7") is None


async def test_a_remembered_identity_is_the_same_object_and_asks_nobody(world: Any) -> None:
    issued = await a_key(world)
    first = await world.who(issued.secret)
    assert world.authenticator.lookup(issued.secret.encode(), "192.0.2.7") is first
    assert world.authenticator.lookup(issued.secret.encode(), "192.0.2.8") is None
    world.time.forward(seconds=world.gate.settings.cache_s)
    assert world.authenticator.lookup(issued.secret.encode(), "192.0.2.7") is None


async def test_a_rotated_key_has_two_secrets_for_a_while(world: Any) -> None:
    issued = await a_key(world)
    await world.who(issued.secret)
    async with world.acting() as ctx:
        rotated = await usecases.rotate_key(ctx, issued.key.id, overlap_s=100)
    assert (await world.who(issued.secret)).actor.id == issued.key.id
    assert (await world.who(rotated.secret)).actor.id == issued.key.id
    world.time.forward(seconds=100)
    with pytest.raises(CredentialRefused):
        await world.who(issued.secret)
    assert (await world.who(rotated.secret)).actor.id == issued.key.id


async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(world: Any) -> None:
    issued = await a_key(world)
    await world.who(issued.secret)
    async with world.acting() as ctx:
        await usecases.rotate_key(ctx, issued.key.id, overlap_s=0)
    with pytest.raises(CredentialRefused):
        await world.who(issued.secret)


async def test_a_key_to_be_rotated_regularly_ends_when_nobody_does(world: Any) -> None:
    issued = await a_key(world, rotate_every_days=10)
    world.time.forward(days=10, hours=1)
    assert (await world.who(issued.secret)).actor.id == issued.key.id
    async with world.acting() as ctx:
        assert await usecases.alert_ending_keys(ctx) == 1
        assert await usecases.alert_ending_keys(ctx) == 0
    assert [wire for wire, _ in await world.facts()] == ["key.rotation_due"]
    world.time.forward(days=1)
    with pytest.raises(CredentialRefused):
        await world.who(issued.secret)


async def test_alerts_come_thirty_seven_and_one_day_before_the_end_each_once(world: Any) -> None:
    issued = await a_key(world, expires_at=world.time.now() + timedelta(days=40))
    told = []
    for _ in range(45):
        async with world.acting() as ctx:
            told.append(await usecases.alert_ending_keys(ctx))
        world.time.forward(days=1)
    assert [day for day, count in enumerate(told) if count] == [10, 33, 39]
    facts = await world.facts()
    assert [p["days"] for _, p in facts] == [30, 7, 1]
    assert {p["key_id"] for _, p in facts} == {str(issued.key.id)}


async def test_nobody_makes_a_key_that_may_more_than_they(world: Any) -> None:
    user = await world.who((await a_key(world, roles=["admin"], scopes=["write:keys", "read:orders"])).secret)
    assert (await a_key(world, by=user, roles=["user"], scopes=["read:orders"])).key.roles == {"user"}
    for roles, scopes in ((["admin"], []), (["platform_admin"], []), (["user"], ["write:*"])):
        with pytest.raises(MoreThanYouHave):
            await a_key(world, by=user, roles=roles, scopes=scopes)
    with pytest.raises(UnknownRole):
        await a_key(world, roles=["king"])


async def test_a_key_cannot_be_widened_beyond_who_changes_it(world: Any) -> None:
    limited = await world.who((await a_key(world, roles=["admin"], scopes=["write:keys", "read:orders"])).secret)
    target, strong = await a_key(world, roles=["viewer"]), await a_key(world, roles=["owner"])
    async with world.acting(limited) as ctx:
        with pytest.raises(MoreThanYouHave):
            await usecases.change_key(ctx, target.key.id, KeyChange(roles=["admin"]))
        with pytest.raises(MoreThanYouHave):
            await usecases.rotate_key(ctx, strong.key.id)


async def test_a_changed_key_is_in_force_at_once(world: Any) -> None:
    issued = await a_key(world, roles=["user"])
    assert (await world.who(issued.secret)).actor.may("write:orders")
    async with world.acting() as ctx:
        await usecases.change_key(ctx, issued.key.id, KeyChange(roles=["viewer"]))
    assert not (await world.who(issued.secret)).actor.may("write:orders")


async def test_a_key_is_renamed_bound_to_addresses_and_given_another_end(world: Any) -> None:
    issued = await a_key(world)
    end = world.time.now() + timedelta(hours=1)
    async with world.acting() as ctx:
        change = KeyChange(name="exporter", ip_allow=["192.0.2.0/24"], expires_at=end)
        changed = await usecases.change_key(ctx, issued.key.id, change)
        with pytest.raises(ExpiryPassed):
            await usecases.change_key(ctx, issued.key.id, KeyChange(expires_at=world.time.now()))
    assert (changed.name, changed.expires_at) == ("exporter", end)
    with pytest.raises(AddressNotAllowed):
        await world.who(issued.secret, "198.51.100.1")
    await world.who(issued.secret)
    world.time.forward(hours=1)
    with pytest.raises(CredentialRefused):
        await world.who(issued.secret)


async def test_a_key_is_not_made_for_a_project_of_others(world: Any) -> None:
    with pytest.raises(UnknownProject):
        await a_key(world, project_id=uuid4())


async def test_the_key_of_another_tenant_is_not_there(world: Any) -> None:
    issued = await a_key(world)
    async with world.acting() as ctx:
        other = await tenants.create_tenant(ctx, NewTenant("other", "Other"))
    stranger = type(world.admin)(other.brief, world.admin.actor, "key:x")
    async with world.acting(stranger) as ctx:
        with pytest.raises(UnknownKey):
            await usecases.revoke_key(ctx, issued.key.id)
        with pytest.raises(UnknownKey):
            await usecases.rotate_key(ctx, issued.key.id)
        assert await store.key(ctx.db, other.id, issued.key.id) is None


async def test_the_keys_of_a_suspended_tenant_are_refused_until_it_is_resumed(world: Any) -> None:
    async with world.acting() as ctx:
        other = await tenants.create_tenant(ctx, NewTenant("other", "Other"))
    issued = await a_key(world, by=type(world.admin)(other.brief, world.admin.actor, "key:x"))
    await world.who(issued.secret)
    async with world.acting() as ctx:
        await tenants.suspend_tenant(ctx, other.id, "unpaid")
    with pytest.raises(TenantIsSuspended):
        await world.who(issued.secret)
    async with world.acting() as ctx:
        await tenants.resume_tenant(ctx, other.id)
    assert (await world.who(issued.secret)).tenant.slug == "other"


async def test_when_a_key_was_last_used_is_written_down_in_batches(world: Any) -> None:
    issued = [await a_key(world) for _ in range(3)]
    for one in issued[:2]:
        await world.who(one.secret)
    world.time.forward(seconds=5)
    await world.who(issued[0].secret)
    await world.authenticator.flush()
    async with world.acting() as ctx:
        seen = [(await store.key(ctx.db, world.tenant.id, one.key.id)).last_used_at for one in issued]
    assert seen == [world.time.now(), world.time.now() - timedelta(seconds=5), None]


async def test_memory_of_credentials_is_bounded(world: Any) -> None:
    world.authenticator._most = 3
    issued = await a_key(world)
    for number in range(6):
        await world.who(issued.secret, f"192.0.2.{number}")
    assert len(world.authenticator._known) == 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_new_name_does_not_bring_back_the_scopes_that_were_just_taken_away(world: Any) -> None:
    issued = await a_key(world)
    async with world.acting() as narrowing:
        await usecases.change_key(narrowing, issued.key.id, KeyChange(scopes=["read:keys"]))

        async def rename() -> None:
            async with world.acting() as ctx:
                await usecases.change_key(ctx, issued.key.id, KeyChange(name="renamed"))

        renaming = asyncio.create_task(rename())
        while not world.database.writer._waiters:  # noqa: ASYNC110 - it has read the key, and waits to write
            await asyncio.sleep(0)
    await renaming
    async with world.acting() as ctx:
        after = await store.key(ctx.db, ctx.tenant.id, issued.key.id)
    assert after is not None
    assert (after.name, after.scopes) == ("renamed", frozenset({"read:keys"}))
