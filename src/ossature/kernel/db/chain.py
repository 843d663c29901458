"""Hash chains over append-only rows: one per tenant and name, in which an altered, lost or moved row shows.

Each row carries `seq`, `body` (RFC 8785 canonical JSON that also names chain, tenant and seq), `previous` (the hash of
the row before) and `hash` = SHA-256(previous || body). The head of each chain is a row of its own, taken by UPDATE, so
concurrent writers of one chain follow one another. Anchors are Merkle roots over stretches of a chain (RFC 6962
hashing): kept outside, they show a chain that was rewritten as a whole, and prove a row without showing the others.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import rfc8785
from sqlalchemy import LargeBinary, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.appendonly import APPEND_ONLY
from ossature.kernel.db.table import OUTLIVES_TENANT, Table
from ossature.kernel.db.transaction import Db

GENESIS = bytes(32)
_RESERVED = frozenset({"chain", "tenant", "seq"})


class ChainHeadRow(Table):
    """The newest row of a chain."""

    __tablename__ = "db_chain_head"
    __table_args__ = {"info": {OUTLIVES_TENANT: "the end of a trail that outlives it"}}  # noqa: RUF012 - as above
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int]
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class AnchorRow(Table):
    """A stretch of a chain, vouched for."""

    __tablename__ = "db_chain_anchor"
    __table_args__ = {"info": {**APPEND_ONLY, OUTLIVES_TENANT: "vouches for a trail that outlives it"}}  # noqa: RUF012 - SQLAlchemy's own convention

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    last_seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    first_seq: Mapped[int]
    root: Mapped[bytes] = mapped_column(LargeBinary)
    head: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(default=clock.now)


class Chained:
    """Mixin of a table whose rows are links of a chain. The primary key is the table's own business."""

    seq: Mapped[int]
    body: Mapped[str]
    previous: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


@dataclass(frozen=True, slots=True)
class ChainLink:
    """One row of a chain. columns: what other columns of the row repeat from the body, by their names there."""

    seq: int
    body: str
    previous: bytes
    hash: bytes
    columns: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """Rows `first_seq` to `last_seq`: their Merkle root, and the hash of the last one."""

    first_seq: int
    last_seq: int
    root: bytes
    head: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it was written: in which row, and what of it."""

    seq: int
    where: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: how many rows it read up to which one, and all faults."""

    checked: int
    last_seq: int
    faults: tuple[Fault, ...]

    @property
    def intact(self) -> bool:
        """Whether everything is as it was written."""
        return not self.faults


def link_hash(previous: bytes, body: str) -> bytes:
    """The hash of a row: SHA-256 over the hash before it and the bytes of its body."""
    return hashlib.sha256(previous + body.encode()).digest()


@dataclass(frozen=True, slots=True)
class Form:
    """How the rows of a chain are written: the hash of a row, and whether its body names chain and tenant."""

    hashed: Callable[[bytes, str], bytes]
    names_itself: bool


TRAIL = Form(link_hash, names_itself=True)
"""The form of `append`."""

_HEAD: Any = ChainHeadRow.__table__
_OF_CHAIN = (_HEAD.c.tenant_id == bindparam("b_tenant"), _HEAD.c.name == bindparam("b_name"))
_PUT = update(_HEAD).where(*_OF_CHAIN).values(hash=bindparam("b_hash"))
_MOVE = update(_HEAD).where(*_OF_CHAIN).values(seq=bindparam("b_seq"), hash=bindparam("b_hash"))


def _take(inserting: Any) -> Any:  # noqa: ANN401 - the insert of either dialect, which share no base for this
    """Move the head on by some rows and hold it: its new seq, and the hash of the row before them."""
    many: Any = bindparam("b_many")
    values = {"tenant_id": bindparam("b_tenant"), "name": bindparam("b_name"), "seq": many, "hash": GENESIS}
    return (
        inserting.values(values)
        .on_conflict_do_update(index_elements=[_HEAD.c.tenant_id, _HEAD.c.name], set_={"seq": _HEAD.c.seq + many})
        .returning(_HEAD.c.seq, _HEAD.c.hash)
    )


# Made once: making a statement costs more than sending it.
_TAKE = {"sqlite": _take(sqlite.insert(_HEAD)), "postgresql": _take(postgresql.insert(_HEAD))}


async def append(db: Db, tenant_id: UUID, name: str, contents: Sequence[Mapping[str, Any]]) -> list[ChainLink]:
    """The next links of a chain, for the caller to insert in the same transaction; the chain is his until it ends.

    contents: JSON values with integers within +-2^53; the names chain, tenant and seq are taken.
    Raises: ValueError for contents that have no canonical form.
    """
    if not contents:
        return []
    of_chain = {"b_tenant": tenant_id, "b_name": name}
    head = await db.one(_TAKE[db.dialect], {**of_chain, "b_many": len(contents)})
    links = []
    previous: bytes = head.hash
    for seq, content in enumerate(contents, head.seq - len(contents) + 1):
        body = canonical(tenant_id, name, seq, content)
        links.append(ChainLink(seq, body, previous, link_hash(previous, body)))
        previous = links[-1].hash
    await db.execute(_PUT, {**of_chain, "b_hash": previous})
    return links


def canonical(tenant_id: UUID, name: str, seq: int, content: Mapping[str, Any]) -> str:
    """The body of a row. Raises: ValueError."""
    if _RESERVED & content.keys():
        raise ValueError(f"these names are the chain's own: {sorted(_RESERVED & content.keys())}")
    try:
        return rfc8785.dumps({**content, "chain": name, "tenant": str(tenant_id), "seq": seq}).decode()
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"no canonical form: {error}") from error


async def hold(db: Db, tenant_id: UUID, name: str) -> Head:
    """Where a chain stands, before its first row too; nobody else moves it until the caller's transaction ends.

    For rows whose form is their own: who holds the chain makes them and says with `move` where it stands then.
    """
    row = await db.one(_TAKE[db.dialect], {"b_tenant": tenant_id, "b_name": name, "b_many": 0})
    return Head(row.seq, row.hash)


async def move(db: Db, tenant_id: UUID, name: str, head: Head) -> None:
    """Say where a chain stands after the rows that its holder has added."""
    await db.execute(_MOVE, {"b_tenant": tenant_id, "b_name": name, "b_seq": head.seq, "b_hash": head.hash})


async def head_of(db: Db, tenant_id: UUID, name: str) -> Head | None:
    """Where a chain stands; None before its first row."""
    statement = select(ChainHeadRow.seq, ChainHeadRow.hash)
    row = await db.first(statement.where(ChainHeadRow.tenant_id == tenant_id, ChainHeadRow.name == name))
    return None if row is None else Head(row.seq, row.hash)


async def chains(db: Db, name: str) -> list[UUID]:
    """The tenants that have a chain of this name. `db`: a view across tenants."""
    rows = await db.all(
        select(ChainHeadRow.tenant_id).where(ChainHeadRow.name == name).order_by(ChainHeadRow.tenant_id)
    )
    return [row.tenant_id for row in rows]


async def anchors_of(db: Db, tenant_id: UUID, name: str) -> list[Anchor]:
    """All anchors of a chain, oldest first."""
    statement = select(AnchorRow.__table__).where(AnchorRow.tenant_id == tenant_id, AnchorRow.name == name)
    rows = await db.all(statement.order_by(AnchorRow.last_seq))
    return [Anchor(row.first_seq, row.last_seq, row.root, row.head, row.at) for row in rows]


async def anchor(
    db: Db, tenant_id: UUID, name: str, links: AsyncIterator[ChainLink], *, first_seq: int
) -> Anchor | None:
    """Vouch for the rows from `first_seq` on; None when there are none. Raises: ValueError when one is missing."""
    hashes: list[bytes] = []
    async for link in links:
        if link.seq != first_seq + len(hashes):
            raise ValueError(f"row {first_seq + len(hashes)} of chain {name} is missing")
        hashes.append(link.hash)
    if not hashes:
        return None
    made = Anchor(first_seq, first_seq + len(hashes) - 1, merkle_root(hashes), hashes[-1], clock.now())
    values = {
        "first_seq": made.first_seq,
        "last_seq": made.last_seq,
        "root": made.root,
        "head": made.head,
        "at": made.at,
    }
    await db.execute(insert(AnchorRow).values(tenant_id=tenant_id, name=name, **values))
    return made


async def verify(
    db: Db, tenant_id: UUID, name: str, links: Callable[[], AsyncIterator[ChainLink]], *, form: Form = TRAIL
) -> Verdict:
    """Read a chain from its oldest kept row on and find everything that was altered.

    links: begins to read the rows in order of `seq`. form: that of rows which `append` did not make. Old rows may be gone as a whole stretch that ends at an anchor.
    Rows that are added meanwhile are looked at as well.
    """
    before = await head_of(db, tenant_id, name)
    inspector = _Inspector(tenant_id, name, await anchors_of(db, tenant_id, name), before, form)
    async for link in links():
        inspector.look(link)
    return inspector.verdict(await head_of(db, tenant_id, name))


class _Inspector:
    """Walks along one chain."""

    def __init__(
        self, tenant_id: UUID, name: str, anchors: Sequence[Anchor], head: Head | None, form: Form = TRAIL
    ) -> None:
        """An inspector of a chain whose head was at `head` before its rows were read."""
        self._tenant_id = tenant_id
        self._form = form
        self._head = head or Head(0, GENESIS)
        self._name = name
        self._ends = {one.last_seq: one for one in anchors}
        self._starts = {one.first_seq for one in anchors}
        self._leaves: list[bytes] | None = None
        self._last = Head(0, GENESIS)
        self._checked = 0
        self._faults: list[Fault] = []

    def look(self, link: ChainLink) -> None:
        """Take the next row."""
        if self._checked == 0 and link.seq > 1 and link.seq - 1 in self._ends:
            self._last = Head(link.seq - 1, self._ends[link.seq - 1].head)  # older rows were archived
        self._checked += 1
        if link.seq != self._last.seq + 1:
            self._blame(self._last.seq + 1, "row", f"missing up to {link.seq - 1}")
        elif link.previous != self._last.hash:
            self._blame(link.seq, "previous", "is not the hash of the row before")
        self._look_inside(link)
        self._look_at_anchor(link)
        if link.seq == self._head.seq and link.hash != self._head.hash:
            self._blame(link.seq, "head", "is not the hash of its row")
        self._last = Head(link.seq, link.hash)

    def verdict(self, head: Head | None) -> Verdict:
        """What was found, the end of the chain included. head: where it is now that all rows were read."""
        if self._last.seq < self._head.seq:
            self._blame(self._last.seq + 1, "row", f"missing up to the head, {self._head.seq}")
        elif self._last.seq > (head.seq if head else 0):
            self._blame(self._last.seq, "head", "is behind its rows")
        if self._ends and max(self._ends) > self._last.seq:
            self._blame(self._last.seq + 1, "anchor", f"rows up to {max(self._ends)} were anchored and are gone")
        return Verdict(self._checked, self._last.seq, tuple(self._faults))

    def _look_inside(self, link: ChainLink) -> None:
        if self._form.hashed(link.previous, link.body) != link.hash:
            self._blame(link.seq, "body or hash", "do not belong together")
        try:
            body = json.loads(link.body)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            self._blame(link.seq, "body", "is no JSON object")
            return
        names = {"chain": self._name, "tenant": str(self._tenant_id)} if self._form.names_itself else {}
        told = {**(link.columns or {}), **names, "seq": link.seq}
        for column, value in told.items():
            if body.get(column) != value:
                self._blame(link.seq, column, "the column does not say what the body says")

    def _look_at_anchor(self, link: ChainLink) -> None:
        if link.seq in self._starts:
            self._leaves = []
        if self._leaves is not None:
            self._leaves.append(link.hash)
        end = self._ends.get(link.seq)
        if end is not None and self._leaves is not None:
            if end.head != link.hash or merkle_root(self._leaves) != end.root:
                self._blame(
                    link.seq, "anchor", f"rows {end.first_seq} to {end.last_seq} are not those that were anchored"
                )
            self._leaves = None

    def _blame(self, seq: int, where: str, detail: str) -> None:
        self._faults.append(Fault(seq, where, detail))


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root of a Merkle tree. Source: RFC 6962, 2.1."""
    level = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        level = list(_paired(level))
    return level[0]


def merkle_path(leaves: Sequence[bytes], index: int) -> list[tuple[str, bytes]]:
    """What proves the leaf at `index`: its neighbours from the bottom up, each `left` or `right` of it."""
    level = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    path = []
    while len(level) > 1:
        neighbour = index ^ 1
        if neighbour < len(level):
            path.append(("left" if neighbour < index else "right", level[neighbour]))
        level = list(_paired(level))
        index //= 2
    return path


def proves(leaf: bytes, path: Sequence[tuple[str, bytes]], root: bytes) -> bool:
    """Whether a path leads from a leaf to a root."""
    node = hashlib.sha256(b"\x00" + leaf).digest()
    for side, neighbour in path:
        pair = neighbour + node if side == "left" else node + neighbour
        node = hashlib.sha256(b"\x01" + pair).digest()
    return node == root


def _paired(level: Sequence[bytes]) -> Iterator[bytes]:
    """The level above: pairs hashed, a last one without a partner carried up."""
    for at in range(0, len(level) - 1, 2):
        yield hashlib.sha256(b"\x01" + level[at] + level[at + 1]).digest()
    if len(level) % 2:
        yield level[-1]
