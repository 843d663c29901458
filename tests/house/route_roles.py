"""Who may call what: `python -m tests.house.route_roles` writes tests/house/route_roles.toml, `test_roles` checks it.

The file is committed so that a change of permissions is seen by whoever reviews it, as the roles that gain or lose a
route.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ossature.app import services
from ossature.kernel.auth.roles import covers, roles
from ossature.kernel.guests import everybody
from ossature.kernel.service import Policy
from tests.house.served import serving

FILE = Path(__file__).with_name("route_roles.toml")
COMMAND = "python -m tests.house.route_roles"
EVERYBODY = ["everybody"]
SIGNED_IN = ["signed in"]


def matrix() -> dict[str, list[str]]:
    """Every route with the roles that may call it."""
    book = roles(everybody(services()))
    return {str(served): allowed(served.policy, book) for served in serving().operations}


def allowed(policy: Policy, book: Mapping[str, frozenset[str]]) -> list[str]:
    """The roles that may call a route of this policy, in the order of the book."""
    if policy.allow is None:
        return EVERYBODY
    if policy.allow == "*":
        return SIGNED_IN
    return [role for role, held in book.items() if covers(held, policy.allow)]


def written(found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The lines of the file."""
    yield f"# Which roles may call which route. Written by `{COMMAND}`; read the difference before you commit it."
    for route, names in found.items():
        listed = ", ".join(f'"{name}"' for name in names)
        yield f'"{route}" = [{listed}]'


def main() -> int:
    """Write the file."""
    FILE.write_text("\n".join(written(matrix())) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
