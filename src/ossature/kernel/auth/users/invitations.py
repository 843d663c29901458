"""Letting owners into a tenant: a link by mail that is good once, or a key that is shown once.

A link is revoked when a newer one is sent, and opens nothing once the account has a password.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.auth.gate import Gate
from ossature.kernel.auth.keys import domain as keys
from ossature.kernel.auth.keys import store as key_store
from ossature.kernel.auth.password_rules import check_password
from ossature.kernel.auth.users import store
from ossature.kernel.auth.users.domain import User, normal_email
from ossature.kernel.context import Ctx, Tenant
from ossature.kernel.db.transaction import Db
from ossature.kernel.links.domain import LinkRefused
from ossature.kernel.links.usecases import Links
from ossature.kernel.notify.domain import Channel, Notice, Recipient, Wording
from ossature.kernel.notify.usecases import notify
from ossature.kernel.tenants import store as tenants
from ossature.kernel.tenants.domain import OWNER, FirstOwner, Owner

INVITED: Final = Notice(
    name="auth.owner_invited",
    wordings={
        "en": Wording("You are an owner of $tenant", "Hello,\n\nyou own $tenant here. Please open\n\n$link\n\n$note\n"),
        "de": Wording("Sie sind Inhaber von $tenant", "Guten Tag\n\nIhnen gehört hier $tenant. Bitte öffnen Sie\n\n$link\n\n$note\n"),
        "fr": Wording("$tenant est à vous", "Bonjour,\n\n$tenant est à vous. Veuillez ouvrir\n\n$link\n\n$note\n"),
        "he": Wording("$tenant בבעלותך", "שלום,\n\n$tenant בבעלותך כאן. יש לפתוח את\n\n$link\n\n$note\n"),
    },
    channels=frozenset({Channel.MAIL}),
    mandatory=True,
    fields=frozenset({"tenant", "link", "note"}),
)  # fmt: skip
_CHOOSE: Final = {
    "en": "and choose a password. The link is good once, until $until.",
    "de": "und wählen Sie ein Passwort. Der Link gilt einmal, bis $until.",
    "fr": "et choisir un mot de passe. Le lien est valable une fois, jusqu'au $until.",
    "he": "ולבחור סיסמה. הקישור תקף פעם אחת, עד $until.",
}
_SIGN_IN: Final = {
    "en": "and sign in with your password.",
    "de": "und melden Sie sich mit Ihrem Passwort an.",
    "fr": "et vous connecter avec votre mot de passe.",
    "he": "ולהתחבר עם הסיסמה שלך.",
}


_SCOPE: Final = "auth.invitation"


class Invitations:
    """Keeps the tenants' `Doorkeeper`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def admit(self, ctx: Ctx, tenant: Tenant, owner: Owner) -> FirstOwner:
        """An invitation by mail to who has an address, else a key of an owner."""
        if owner.email is None:
            async with self._gate.registry.across(ctx) as db:
                return FirstOwner(key=await _key(db, tenant.id, name=owner.name or "owner"))
        async with self._gate.registry.across(ctx) as db:
            user, may_sign_in = await _owner(db, tenant.id, owner)
            self._gate.registry.forget_after(db, "user", user.id)
        await self._invite(ctx, tenant, user, may_sign_in=may_sign_in)
        return FirstOwner(email=user.email)

    async def _invite(self, ctx: Ctx, tenant: Tenant, user: User, *, may_sign_in: bool) -> None:
        base = ctx.settings.main.public_url.rstrip("/")
        language = tenant.language if tenant.language in _CHOOSE else "en"
        if may_sign_in:
            link, note = f"{base}/console/sign-in", _SIGN_IN[language]
        else:
            until = ctx.now + timedelta(seconds=self._gate.settings.invitation_s)
            async with self._gate.registry.across(ctx) as db:
                token = await ctx.port(Links).renew(db, user.tenant_id, _SCOPE, str(user.id), until=until)
            link = f"{base}/v1/auth/invitations/{token}"
            note = _CHOOSE[language].replace("$until", f"{until:%Y-%m-%d %H:%M} UTC")
        to = Recipient(address=user.email, language=language, zone=tenant.zone)
        await notify(ctx, INVITED, to, {"tenant": tenant.name, "link": link, "note": note})


async def accept(ctx: Ctx, token: str, password: str) -> None:
    """Who was invited has this password from now on, and signs in with it. Raises: LinkRefused, WeakPassword."""
    gate, links = ctx.port(Gate), ctx.port(Links)
    link = await links.look(ctx, _SCOPE, token)
    async with gate.database.begin() as db:
        user = await store.user(db, UUID(link.subject))
    if user is None:
        raise LinkRefused
    check_password(password, email=user.email, name=user.name, length_min=gate.settings.password_length_min)
    hashed = await gate.passwords.hash(password)
    async with gate.database.begin() as db:
        await links.use(db, _SCOPE, token, now=ctx.now)
        if not await store.set_first_password(db, user.id, hashed):
            raise LinkRefused
    await ctx.audit("invitation.accepted", f"user:{user.id}")


async def _key(db: Db, tenant_id: UUID, *, name: str) -> str:
    secret = keys.new_secret()
    values = {
        "name": name,
        "hint": keys.hint(secret),
        "secret_digest": keys.digest(secret),
        "roles": [OWNER],
        "created_at": clock.now(),
    }
    await key_store.add_key(db, tenant_id, values)
    return secret


async def _owner(db: Db, tenant_id: UUID, owner: Owner) -> tuple[User, bool]:
    """The user who owns the tenant from now on, and whether they have a password."""
    email = normal_email(owner.email or "")
    found = await store.user_by_email(db, email)
    if found is None:
        user, password_hash = (
            await store.add_user(db, tenant_id, email=email, name=owner.name or email, password_hash=None),
            None,
        )
    else:
        user, password_hash = found
    member = await tenants.member(db, tenant_id, user.id)
    roles = (member.roles if member else frozenset()) | {OWNER}
    await tenants.put_member(db, tenant_id, user.id, roles=roles, bound=member.bound if member else {})
    return user, password_hash is not None
