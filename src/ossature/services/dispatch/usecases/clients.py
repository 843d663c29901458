"""Clients: made by hand, or meant by the rows of a file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from ossature.kernel import clock
from ossature.kernel.context import Ctx
from ossature.kernel.errors import FieldError
from ossature.services.dispatch.domain.bookings import Client, ClientNotFound, Payer
from ossature.services.dispatch.domain.fleet import NameTaken
from ossature.services.dispatch.domain.imports import Order
from ossature.services.dispatch.store import people


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientWish:
    """A client to be made."""

    reference: str
    last_name: str
    first_name: str = ""
    birth_date: date | None = None
    phone: str = ""
    max_ride_s: int | None = None
    default_payer: Payer = Payer.PATIENT


async def add_client(ctx: Ctx, wish: ClientWish) -> Client:
    """A new client. Raises: NameTaken."""
    (made,) = await add_clients(ctx, [wish])
    return made


async def add_clients(ctx: Ctx, wishes: Sequence[ClientWish]) -> list[Client]:
    """New clients. Raises: NameTaken, and then none of them is made."""
    made = [new_client(ctx, wish) for wish in wishes]
    async with ctx.db.step():
        taken = await people.clients_referred(ctx.db, ctx.tenant.id, [one.reference for one in made])
        if taken:
            raise NameTaken(f"There is a client with the reference {min(taken)!r}.")
        await people.add_clients(ctx.db, ctx.tenant.id, made)
        for one in made:
            await ctx.audit("client.added", f"client:{one.id}", reference=one.reference)
    return made


def new_client(ctx: Ctx, wish: ClientWish) -> Client:
    """A client that is not kept yet."""
    return Client(
        id=clock.new_id(),
        reference=wish.reference,
        last_name=wish.last_name,
        first_name=wish.first_name,
        birth_date=wish.birth_date,
        phone=wish.phone,
        home_place_id=None,
        max_ride_s=wish.max_ride_s,
        default_payer=wish.default_payer,
        created_at=ctx.now,
    )


async def read_client(ctx: Ctx, client_id: UUID) -> Client:
    """A client. Raises: ClientNotFound."""
    found = await people.clients(ctx.db, ctx.tenant.id, [client_id])
    if client_id not in found:
        raise ClientNotFound
    return found[client_id]


class Meant:
    """Whom the orders of a file mean: clients that are known, by reference or by name, or new ones, each made once."""

    def __init__(self, ctx: Ctx, referred: Iterable[Client], named: Iterable[Client]) -> None:
        self._ctx = ctx
        self._referred = {one.reference: one for one in referred}
        self._named: dict[tuple[str, str], list[Client]] = {}
        for one in named:
            self._named.setdefault((one.last_name, one.first_name), []).append(one)
        self.new: list[Client] = []

    @classmethod
    async def by(cls, ctx: Ctx, orders: Sequence[Order]) -> "Meant":
        """All that these orders could mean."""
        references = {one.client_ref for one in orders if one.client_ref}
        names = {one.last_name for one in orders if not one.client_ref}
        referred = await people.clients_referred(ctx.db, ctx.tenant.id, references)
        return cls(ctx, referred.values(), await people.clients_named(ctx.db, ctx.tenant.id, names))

    def of(self, order: Order) -> Client | FieldError:
        """Who is meant, or why nobody is. pointer: the column."""
        if order.client_ref:
            known = self._referred.get(order.client_ref)
            if known is None and not order.last_name:
                return FieldError(
                    "client_ref", "There is no client with this reference; a new one has a name.", "unknown"
                )
            return known or self._made(order, order.client_ref)
        same = self._named.get((order.last_name, order.first_name), [])
        fitting = [one for one in same if order.birth_date in (None, one.birth_date)]
        if len(fitting) > 1:
            return FieldError(
                "last_name", "Several clients have this name: give the birth date or a reference.", "ambiguous"
            )
        return fitting[0] if fitting else self._made(order, f"F-{clock.new_id().hex[-12:]}")

    def _made(self, order: Order, reference: str) -> Client:
        wish = ClientWish(
            reference=reference,
            last_name=order.last_name,
            first_name=order.first_name,
            birth_date=order.birth_date,
            phone=order.phone,
            default_payer=order.payer,
        )
        made = new_client(self._ctx, wish)
        self.new.append(made)
        self._referred[reference] = made
        self._named.setdefault((made.last_name, made.first_name), []).append(made)
        return made
