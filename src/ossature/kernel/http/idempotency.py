"""Idempotency-Key: the same request sent twice has one effect, and one answer.

The key is claimed in a short transaction of its own; the answer is stored in the request's transaction, so a process
that dies between effect and answer leaves neither, and one that dies earlier leaves a claim whose lease runs out.
A route that commits in steps says so in each step's transaction: after that nobody takes its claim over, since the work
must not begin again. Source: draft-ietf-httpapi-idempotency-key-header.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from starlette.responses import Response

from ossature.kernel import clock
from ossature.kernel.db.engine import Database
from ossature.kernel.db.transaction import Db
from ossature.kernel.errors import Conflict, InvalidInput
from ossature.kernel.http import store
from ossature.kernel.http.sealing import Seal


class IdempotencyMismatch(InvalidInput):
    """This Idempotency-Key was used before, for a request with another body or address."""

    title = "Idempotency-Key used for another request"


class RequestInProgress(Conflict):
    """A request with this Idempotency-Key is being answered right now, or its process died a moment ago."""

    title = "Request in progress"
    retry_after_s = 1.0


class RequestInterrupted(Conflict):
    """The request with this Idempotency-Key failed after a part of it was done, so it is not begun a second time.

    Read what is there now, and decide; what is still to be done needs an Idempotency-Key of its own.
    """

    title = "Request interrupted"


class AnswerNotStorable(InvalidInput):
    """This route answers with a stream, which cannot be stored and sent again: leave the Idempotency-Key out."""

    title = "Answer not storable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One attempt to answer a request once. Inside of the request it is the `Fence` of what is committed."""

    tenant_id: UUID
    subject: str
    seal: Seal
    fingerprint: str
    lease_s: float
    id: UUID = field(default_factory=clock.new_id)

    @property
    def row(self) -> tuple[UUID, str, str]:
        """What its row is found by: tenant, caller and digest of the key."""
        return self.tenant_id, self.subject, self.seal.digest

    async def write(self, db: Db) -> None:
        """Hold the claim on, and say that it has effects. Raises: RequestInProgress when it was taken over."""
        if not await store.note_effects(db, *self.row, claim_id=self.id, lease_s=self.lease_s):
            raise RequestInProgress


async def claim(database: Database, mine: Claim, *, keep_s: float) -> Response | None:
    """None when the request is ours to answer; the stored answer when it was answered before.

    Raises: IdempotencyMismatch, RequestInProgress, RequestInterrupted.
    """
    now = clock.now()
    digest = mine.seal.digest
    async with database.begin(mine.tenant_id) as db:
        values: dict[str, object] = {
            "subject": mine.subject,
            "key_digest": digest,
            "fingerprint": mine.fingerprint,
            "claim_id": mine.id,
            "claimed_until": now + timedelta(seconds=mine.lease_s),
            "expires_at": now + timedelta(seconds=keep_s),
        }
        if await store.begin(db, mine.tenant_id, values):
            return None
        known = await store.begun(db, mine.tenant_id, mine.subject, digest)
        if known is None:
            raise RequestInProgress
        if known.fingerprint != mine.fingerprint:
            raise IdempotencyMismatch
        if known.status is not None:
            replayed = mine.seal.open(known.answer or b"", known.status)
            replayed.headers["idempotent-replayed"] = "true"
            return replayed
        if known.claimed_until <= now and known.has_effects:
            raise RequestInterrupted
        if known.claimed_until > now or not await store.take_over(
            db, mine.tenant_id, mine.subject, digest, claim_id=mine.id, lease_s=mine.lease_s
        ):
            raise RequestInProgress
    return None


async def answer(db: Db, mine: Claim, response: Response) -> None:
    """Store the answer in the transaction that made the effect.

    Raises: AnswerNotStorable; RequestInProgress when the claim was taken over meanwhile: the effect is then undone.
    """
    body = getattr(response, "body", None)
    if body is None:
        raise AnswerNotStorable
    sealed = mine.seal.close(response, bytes(body))
    if not await store.answer(db, *mine.row, claim_id=mine.id, status=response.status_code, sealed=sealed):
        raise RequestInProgress


async def release(database: Database, mine: Claim) -> None:
    """Forget a claim that came to nothing; of one that had effects, end the lease."""
    async with database.begin(mine.tenant_id) as db:
        await store.release(db, *mine.row, claim_id=mine.id)
