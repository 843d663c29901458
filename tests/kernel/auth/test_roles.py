import pytest

from ossature.kernel.auth.password_rules import WeakPassword, check_password
from ossature.kernel.auth.policies import FourEyes, require_another, require_own
from ossature.kernel.auth.roles import HOUSE_ROLES, covers, narrow, roles
from ossature.kernel.auth.service import service as auth
from ossature.kernel.auth.users.domain import Pause
from ossature.kernel.clock import new_id
from ossature.kernel.context import Actor
from ossature.kernel.errors import Misconfigured, NotFound
from ossature.kernel.quotas.service import service as quotas
from ossature.kernel.service import Role, Service
from ossature.kernel.tenants.service import service as tenants

SHOP = Service(
    name="shop",
    permissions=frozenset({"read:orders", "write:orders"}),
    roles=(Role("clerk", frozenset({"write:orders"})),),
)
BOOK = roles([tenants, auth, quotas, SHOP])


def may(role: str, permission: str) -> bool:
    return Actor(kind="user", id=None, name="x", permissions=BOOK[role]).may(permission)


def test_each_house_role_may_what_its_name_promises() -> None:
    expected = {
        "write:tenants": {"platform_admin"},
        "write:tenant": {"platform_admin", "owner", "admin"},
        "write:keys": {"platform_admin", "owner", "admin"},
        "read:keys": {"platform_admin", "owner", "admin", "auditor"},
        "write:orders": {"platform_admin", "owner", "admin", "user"},
        "read:orders": {"platform_admin", "owner", "admin", "user", "viewer", "auditor"},
        "read:usage": {"platform_admin", "owner", "admin", "user", "viewer", "auditor"},
        "write:budgets": {"platform_admin", "owner", "admin"},
        "read:tenant": {"platform_admin", "owner", "admin", "user", "viewer", "auditor"},
        "read:tenants": {"platform_admin"},
    }
    assert {p: {role for role in HOUSE_ROLES if may(role, p)} for p in expected} == expected


def test_what_nobody_declared_is_held_by_nobody_but_the_platform() -> None:
    assert {role for role in BOOK if may(role, "fly:rocket")} == {"platform_admin"}


def test_a_service_brings_its_own_roles_but_not_under_a_name_that_is_taken() -> None:
    assert BOOK["clerk"] == {"write:orders"}
    with pytest.raises(Misconfigured):
        roles([Service(name="x", roles=(Role("owner", frozenset({"a:b"})),))])


def test_a_wildcard_is_covered_only_by_a_wildcard() -> None:
    assert covers({"*:*"}, "*:*")
    assert covers({"read:*"}, "read:orders")
    assert not covers({"read:orders"}, "read:*")
    assert not covers({"read:*"}, "*:orders")


def test_scopes_never_widen() -> None:
    assert narrow(frozenset({"read:a", "write:a"}), []) == {"read:a", "write:a"}
    assert narrow(frozenset({"read:a", "write:a"}), ["read:*"]) == {"read:a"}
    assert narrow(frozenset({"*:*"}), ["read:*"]) == {"read:*"}
    assert narrow(frozenset({"read:*"}), ["*:a"]) == {"read:a"}
    assert narrow(frozenset({"read:a"}), ["write:a", "*:b"]) == frozenset()


def test_a_thing_of_somebody_else_is_not_there_for_who_may_see_only_their_own() -> None:
    driver = Actor(kind="user", id=new_id(), name="d", permissions=frozenset({"read:own_trips"}), bound={"driver": "7"})
    boss = Actor(kind="user", id=new_id(), name="b", permissions=frozenset({"read:trips"}))
    require_own(driver, "driver", "7", unless="read:trips")
    require_own(boss, "driver", "7", unless="read:trips")
    with pytest.raises(NotFound):
        require_own(driver, "driver", "8", unless="read:trips")


def test_nobody_approves_their_own_work() -> None:
    author = Actor(kind="user", id=new_id(), name="a")
    other = Actor(kind="user", id=new_id(), name="o")
    assert author.id is not None
    require_another(other, author.id)
    with pytest.raises(FourEyes):
        require_another(author, author.id)
    with pytest.raises(FourEyes):
        require_another(Actor(kind="key", id=None, name="k"), author.id)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "too_short"),
        ("x" * 300, "too_long"),
        ("aaaaaaaaaaaaaaaa", "too_regular"),
        ("passwordpassword", "common"),
        ("lovelace2024", "personal"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(password: str, code: str) -> None:
    with pytest.raises(WeakPassword) as caught:
        check_password(password, email="ada@example.com", name="Ada Lovelace", length_min=12)
    assert code in {error.code for error in caught.value.errors}


@pytest.mark.parametrize("password", ["seven green bottles", "жили-были старик", "tr0ub4dor&3-and-more"])
def test_length_makes_a_password_good_whatever_it_is_made_of(password: str) -> None:
    check_password(password, email="ada@example.com", name="Ada Lovelace", length_min=12)


def test_a_pause_begins_after_the_free_failures_and_has_an_end() -> None:
    pause = Pause(free=3, first_s=10, most_s=100)
    assert [pause.after(n).total_seconds() for n in (0, 2, 3, 4, 5, 6, 7, 10_000)] == [0, 0, 10, 20, 40, 80, 100, 100]
