"""Roles: what each may do. Whoever holds no role may do nothing.

Permissions are `verb:object`. What an object is about decides which house roles get it:
of the platform (all tenants), of the owner alone, of the administration of a tenant, or of its daily work.
"""

from collections.abc import Iterable, Mapping

from ossature.kernel.context import Actor
from ossature.kernel.errors import FieldError, InvalidInput, Misconfigured, PermissionDenied
from ossature.kernel.service import Service

PLATFORM_ADMIN = "platform_admin"
OWNER = "owner"
ADMIN = "admin"
USER = "user"
VIEWER = "viewer"
AUDITOR = "auditor"
HOUSE_ROLES = (PLATFORM_ADMIN, OWNER, ADMIN, USER, VIEWER, AUDITOR)

EVERYTHING = "*:*"
PLATFORM_OBJECTS = frozenset(
    {
        "tenants",
        "platform",
        "health",
        "metrics",
        "settings",
        "profiles",
        "processes",
        "database",
        "backups",
        "signals",
        "alerts",
    }
)
OWNER_PERMISSIONS = frozenset({"delete:tenant", "export:tenant", "write:billing", "transfer:tenant"})
ADMIN_OBJECTS = frozenset(
    {
        "tenant",
        "users",
        "members",
        "keys",
        "audit",
        "webhooks",
        "budgets",
        "billing",
        "flags",
        "privacy",
        "credentials",
        "links",
        "legal",
    }
)
USER_READS = frozenset({"read:tenant", "read:budgets"})
AUDITOR_ALSO = frozenset({"export:audit"})
"""An auditor takes the trail away with them, for those who look at it elsewhere."""


class UnknownRole(InvalidInput):
    """No role has this name; the roles are listed at `/v1/auth/roles`."""

    title = "No such role"


class MoreThanYouHave(PermissionDenied):
    """Nobody gives away a permission that they do not hold."""

    title = "More than you have"


def roles(services: Iterable[Service]) -> Mapping[str, frozenset[str]]:
    """Every role with its permissions: the house's own, over all that the services declare, and the services' own.

    Raises: Misconfigured when two roles have one name.
    """
    services = tuple(services)
    declared = frozenset(p for service in services for p in service.permissions)
    book = dict(_house_roles(declared))
    for service in services:
        for role in service.roles:
            if role.name in book:
                msg = f"{service.name}: there is a role {role.name!r} already"
                raise Misconfigured(msg)
            book[role.name] = role.permissions
    return book


def _house_roles(declared: frozenset[str]) -> Mapping[str, frozenset[str]]:
    of_tenants = frozenset(p for p in declared if _object(p) not in PLATFORM_OBJECTS)
    daily = frozenset(p for p in of_tenants - OWNER_PERMISSIONS if _object(p) not in ADMIN_OBJECTS)
    reads = frozenset(p for p in of_tenants if p.startswith("read:"))
    return {
        PLATFORM_ADMIN: frozenset({EVERYTHING}),
        OWNER: of_tenants,
        ADMIN: of_tenants - OWNER_PERMISSIONS,
        USER: daily | (USER_READS & declared),
        VIEWER: (daily & reads) | (USER_READS & declared),
        AUDITOR: reads | (AUDITOR_ALSO & declared),
    }


def _object(permission: str) -> str:
    return permission.partition(":")[2]


def covers(held: Iterable[str], permission: str) -> bool:
    """Whether a set of permissions, which may have wildcards, holds one, which may be a wildcard itself."""
    verb, _, what = permission.partition(":")
    for one in held:
        held_verb, _, held_what = one.partition(":")
        if held_verb in ("*", verb) and held_what in ("*", what):
            return True
    return False


def narrow(held: frozenset[str], scopes: Iterable[str]) -> frozenset[str]:
    """What is left of permissions under scopes; no scopes leave all of them. Either side may have wildcards."""
    scopes = frozenset(scopes)
    if not scopes:
        return held
    both = {scope for scope in scopes if covers(held, scope)} | {one for one in held if covers(scopes, one)}
    for one in held:
        for scope in scopes:
            both |= _overlap(one, scope)
    return frozenset(both)


def _overlap(one: str, other: str) -> set[str]:
    """`read:*` and `*:jobs` have `read:jobs` in common."""
    (verb, _, what), (other_verb, _, other_what) = one.partition(":"), other.partition(":")
    if "*" not in (verb, other_verb) and verb != other_verb:
        return set()
    if "*" not in (what, other_what) and what != other_what:
        return set()
    return {f"{other_verb if verb == '*' else verb}:{other_what if what == '*' else what}"}


class Roles:
    """The book of roles of a running house."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.book = roles(services)

    def permissions(self, names: Iterable[str]) -> frozenset[str]:
        """What these roles may do together; a role that no longer exists may do nothing."""
        return frozenset().union(*(self.book.get(name, frozenset()) for name in names))

    def effective(self, names: Iterable[str], scopes: Iterable[str]) -> frozenset[str]:
        """What these roles may do under scopes."""
        return narrow(self.permissions(names), scopes)

    def require_known(self, names: Iterable[str]) -> None:
        """Raises: UnknownRole, naming each one."""
        errors = [
            FieldError(f"/roles/{place}", f"There is no role {name[:60]!r}.", "role")
            for place, name in enumerate(names)
            if name not in self.book
        ]
        if errors:
            raise UnknownRole(errors=errors)

    def require_grantable(self, actor: Actor, roles: Iterable[str]) -> None:
        """Raises: UnknownRole; MoreThanYouHave when the actor holds less than one of the roles gives."""
        names = sorted(set(roles))
        self.require_known(names)
        lacking = sorted(p for p in self.permissions(names) if not covers(actor.permissions, p))
        if lacking:
            raise MoreThanYouHave(permissions=lacking[:20])
