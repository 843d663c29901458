"""Rules about one object, for those who may do something only to their own, or not alone."""

from uuid import UUID

from ossature.kernel.context import Actor
from ossature.kernel.errors import NotFound, PermissionDenied

MAKER = "maker"
"""What a key is bound to: the id of who made it, or of who made the key that made it."""


class FourEyes(PermissionDenied):
    """Who asked for this, or made it, cannot be who approves it; a second person must."""

    title = "Second person needed"


def is_own(actor: Actor, kind: str, thing_id: str) -> bool:
    """Whether the actor stands for this thing: is bound to it (`driver`, `institution`), or is this `user` or `key`."""
    if kind == actor.kind and actor.id is not None and str(actor.id) == thing_id:
        return True
    return actor.bound.get(kind) == thing_id


def require_own(actor: Actor, kind: str, thing_id: str, *, unless: str) -> None:
    """Let pass who holds the permission `unless`, and who stands for the thing.

    Raises: NotFound, since who may see only their own is not told what others have.
    """
    if not (actor.may(unless) or is_own(actor, kind, thing_id)):
        raise NotFound


def responsible(actor: Actor) -> UUID | None:
    """Who answers for what is done: the user, the one who made the key, or a key that nobody known made.

    A service keeps this as the author of what must be approved by somebody else.
    """
    maker = actor.bound.get(MAKER)
    return UUID(maker) if maker is not None else actor.id


def require_another(actor: Actor, author_id: UUID) -> None:
    """Let pass a known user or key other than the author, and other than a key of the author's. Raises: FourEyes."""
    if actor.id is None or author_id in (actor.id, responsible(actor)):
        raise FourEyes
