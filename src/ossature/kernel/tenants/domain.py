"""Tenants, their projects and members: values, rules and refusals."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ossature.kernel.context import SYSTEM_TENANT_ID, Actor, Ctx, Tenant
from ossature.kernel.errors import Conflict, FieldError, InvalidInput, NotFound, PermissionDenied

OWNER = "owner"
"""The role that every tenant has at least one holder of."""

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?")
_RESERVED = frozenset({"system", "current", "admin", "api", "www"})


@dataclass(frozen=True, slots=True)
class TenantDetails:
    """All that is known of a tenant. ip_allow, ip_deny: CIDR blocks; an empty allow list lets every address in.

    retention_days: None takes the house's default for each table.
    """

    id: UUID
    slug: str
    name: str
    plan: str
    zone: str
    language: str
    retention_days: int | None
    ip_allow: tuple[str, ...]
    ip_deny: tuple[str, ...]
    suspended_at: datetime | None
    suspended_why: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def brief(self) -> Tenant:
        """What a `Ctx` carries of it."""
        return Tenant(
            id=self.id,
            slug=self.slug,
            name=self.name,
            plan=self.plan,
            zone=self.zone,
            language=self.language,
            suspended=self.suspended_at is not None,
        )


@dataclass(frozen=True, slots=True)
class Project:
    """A part of a tenant whose usage is counted, and may be limited, by itself."""

    id: UUID
    slug: str
    name: str
    archived_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A user in a tenant. bound: what the person stands for there, such as `driver -> id`."""

    user_id: UUID
    roles: frozenset[str]
    bound: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TenantSuspended:
    """A tenant may no longer ask for anything; its data stays."""

    tenant_id: UUID
    why: str


@dataclass(frozen=True, slots=True)
class TenantResumed:
    """A suspended tenant may ask again."""

    tenant_id: UUID


@dataclass(frozen=True, slots=True)
class TenantDeleted:
    """A tenant is gone for good; rooms drop what they still hold of it."""

    tenant_id: UUID
    slug: str


class RoleBook(Protocol):
    """Which roles there are, and who may give them away."""

    def require_grantable(self, actor: Actor, roles: Iterable[str]) -> None:
        """Raises: InvalidInput for an unknown role; PermissionDenied when the actor holds less than the role gives."""


class PlanBook(Protocol):
    """Which plans there are."""

    async def require_known(self, name: str) -> None:
        """Raises: InvalidInput for a plan that nobody declared."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who is to own a tenant: a person with an address, or without one whoever is given the key."""

    email: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class FirstOwner:
    """How an owner gets into a tenant: a mail was sent to `email`, or `key` opens it, which is shown this once."""

    email: str | None = None
    key: str | None = None


class Doorkeeper(Protocol):
    """Lets owners into a tenant that nobody can enter yet."""

    async def admit(self, ctx: Ctx, tenant: Tenant, owner: Owner) -> FirstOwner:
        """An invitation by mail, or without an address a key. What it writes belongs to that tenant."""


class UnknownTenant(NotFound):
    """No tenant has this id, or it is not yours."""

    title = "No such tenant"


class UnknownProject(NotFound):
    """No project of this tenant has this id."""

    title = "No such project"


class UnknownMember(NotFound):
    """No member of this tenant has this id."""

    title = "No such member"


class SlugTaken(Conflict):
    """Another tenant, or another project of the tenant, has this slug."""

    title = "Slug taken"


class LastOwner(Conflict):
    """The tenant would be left without an owner; make somebody else an owner first."""

    title = "Last owner"


class HouseTenant(PermissionDenied):
    """The tenant of the house itself cannot be suspended or deleted."""

    title = "The house itself"


class OwnTenant(Conflict):
    """Nobody suspends or deletes the tenant that they are acting for; another administrator can."""

    title = "Your own tenant"


class TenantIsSuspended(PermissionDenied):
    """The tenant is suspended: its keys and users are known, but nothing is done for them."""

    title = "Tenant suspended"


@dataclass(frozen=True, slots=True)
class TenantChange:
    """New values of a tenant; None leaves a value as it is."""

    name: str | None = None
    plan: str | None = None
    zone: str | None = None
    language: str | None = None
    retention_days: int | None = None
    ip_allow: tuple[str, ...] | None = None
    ip_deny: tuple[str, ...] | None = None

    def values(self) -> dict[str, object]:
        """The columns that change."""
        names = ("name", "plan", "zone", "language", "retention_days", "ip_allow", "ip_deny")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True)
class NewTenant:
    """A tenant that does not exist yet."""

    slug: str
    name: str
    plan: str = "free"
    zone: str = "UTC"
    language: str = "en"


def check_slug(slug: str) -> str:
    """The slug, if it is one: 1 to 48 of a-z, 0-9 and inner hyphens. Raises: InvalidInput."""
    if not _SLUG.fullmatch(slug) or slug in _RESERVED:
        msg = "A slug is 1 to 48 lower-case letters, digits and inner hyphens, and not a reserved word."
        raise InvalidInput(msg, errors=[FieldError("/slug", msg, "slug")])
    return slug


def check_zone(zone: str) -> str:
    """The zone, if the time zone database knows it. Raises: InvalidInput."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        msg = f"{zone[:64]!r} is not a time zone; write an IANA name such as Europe/Zurich."
        raise InvalidInput(msg, errors=[FieldError("/zone", msg, "zone")]) from error
    return zone


def check_networks(blocks: Iterable[str], pointer: str) -> tuple[str, ...]:
    """The CIDR blocks in their normal form. Raises: InvalidInput, naming the first that is none."""
    normal = []
    for number, block in enumerate(blocks):
        try:
            normal.append(str(ipaddress.ip_network(block, strict=False)))
        except ValueError as error:
            msg = f"{block[:64]!r} is not an address block; write 203.0.113.0/24 or 2001:db8::/32."
            raise InvalidInput(msg, errors=[FieldError(f"{pointer}/{number}", msg, "network")]) from error
    return tuple(normal)


def contains(blocks: Iterable[str], ip: str) -> bool:
    """Whether an address lies in one of the blocks; False for what is no address."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(block) for block in blocks)


def require_removable(tenant_id: UUID, *, own_id: UUID) -> None:
    """Raises: HouseTenant; OwnTenant for the one that the caller acts for."""
    if tenant_id == SYSTEM_TENANT_ID:
        raise HouseTenant
    if tenant_id == own_id:
        raise OwnTenant
