"""The inbox, preferences and wordings over HTTP."""

from datetime import datetime, time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from ossature.kernel.context import CurrentCtx
from ossature.kernel.http.input import Input
from ossature.kernel.http.listing import Asked, Listing, answer, listing
from ossature.kernel.http.policy import policy
from ossature.kernel.http.validation import LanguageTag, Zone
from ossature.kernel.notify import store, usecases
from ossature.kernel.notify.domain import Channel, NoticeNotFound, Preferences, QuietHours, Wording

router = APIRouter(tags=["inbox"])


NoticeName = Annotated[
    str, Field(pattern=r"^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*)$", max_length=100, examples=["backup.failed"])
]
NoticePath = Annotated[str, Path(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$", max_length=100)]
LanguagePath = Annotated[LanguageTag, Path()]


class MessageOut(BaseModel):
    """A message in the inbox."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    notice: str
    title: str
    body: str
    link: str
    created_at: datetime
    read_at: datetime | None


class UnreadOut(BaseModel):
    """How many messages are not read."""

    unread: int


class OffShape(Input):
    """Something that is not wanted: a notice (`*` for all) on a channel."""

    notice: NoticeName
    channel: Channel


class QuietShape(Input):
    """When mail waits; over midnight if `start` is later than `end`."""

    model_config = ConfigDict(from_attributes=True)

    start: time = Field(examples=["22:00:00"])
    end: time = Field(examples=["07:00:00"])
    zone: Zone


class PreferencesShape(Input):
    """What the caller wants to be told, and when."""

    off: list[OffShape] = Field(max_length=500)
    quiet: QuietShape | None


class WordingIn(Input):
    """Words with `$name` placeholders."""

    subject: str = Field(min_length=1, max_length=200, examples=["Backup $name failed"])
    body: str = Field(min_length=1, max_length=20_000, examples=["The backup $name failed at $at."])


class WordingOut(WordingIn):
    """The words of a notice in one language. own: they are the tenant's, not the house's."""

    language: str
    own: bool


class NoticeOut(BaseModel):
    """A kind of notice, with its placeholders and words."""

    name: str
    mandatory: bool
    channels: list[Channel]
    fields: list[str]
    wordings: list[WordingOut]


class OptedOut(BaseModel):
    """What no longer comes by mail."""

    notice: str


@router.get("")
@policy(allow="read:inbox")
async def list_messages(
    ctx: CurrentCtx, query: Annotated[Asked, listing(store.INBOX, MessageOut)]
) -> Listing[MessageOut]:
    """The caller's inbox, newest first."""
    found = await store.list_inbox(ctx.db, ctx.tenant.id, usecases.person_of(ctx), query)
    return answer(found, MessageOut, query)


@router.get("/unread")
@policy(allow="read:inbox")
async def count_unread(ctx: CurrentCtx) -> UnreadOut:
    """How many messages the caller has not read."""
    return UnreadOut(unread=await store.count_unread(ctx.db, ctx.tenant.id, usecases.person_of(ctx)))


@router.post("/read", status_code=204)
@policy(allow="write:inbox")
async def mark_all_read(ctx: CurrentCtx) -> None:
    """Note that everything was read."""
    await usecases.mark_all_read(ctx)


@router.post("/{message_id}/read", status_code=204)
@policy(allow="write:inbox")
async def mark_read(ctx: CurrentCtx, message_id: UUID) -> None:
    """Note that a message was read."""
    await usecases.mark_read(ctx, message_id)


@router.get("/preferences")
@policy(allow="read:inbox")
async def read_preferences(ctx: CurrentCtx) -> PreferencesShape:
    """What the caller chose."""
    chosen = await store.preferences(ctx.db, ctx.tenant.id, usecases.person_of(ctx))
    off = [OffShape(notice=notice, channel=channel) for notice, channel in sorted(chosen.off)]
    return PreferencesShape(off=off, quiet=None if chosen.quiet is None else QuietShape.model_validate(chosen.quiet))


@router.put("/preferences", status_code=204)
@policy(allow="write:inbox")
async def choose(ctx: CurrentCtx, body: PreferencesShape) -> None:
    """Choose what to be told and when. Mandatory notices, such as those about security, come all the same."""
    quiet = None if body.quiet is None else QuietHours(body.quiet.start, body.quiet.end, body.quiet.zone)
    await usecases.choose(ctx, Preferences(frozenset((one.notice, one.channel) for one in body.off), quiet))


@router.post("/opt-out/{token}")
@policy(public=True)
async def opt_out(ctx: CurrentCtx, token: Annotated[str, Path(max_length=300)]) -> OptedOut:
    """No longer get a notice by mail, by the link in it (RFC 8058)."""
    return OptedOut(notice=await usecases.opt_out(ctx, token))


@router.get("/notices/{notice}")
@policy(allow="write:notices")
async def read_notice(ctx: CurrentCtx, notice: NoticePath) -> NoticeOut:
    """A kind of notice, with its placeholders and the words that the tenant uses."""
    kind = ctx.port(usecases.Post).notices.get(notice)
    if kind is None:
        raise NoticeNotFound
    own = await store.wordings(ctx.db, ctx.tenant.id, notice)
    words = [
        WordingOut(language=language, own=language in own, subject=wording.subject, body=wording.body)
        for language, wording in sorted({**kind.wordings, **own}.items())
    ]
    return NoticeOut(
        name=kind.name,
        mandatory=kind.mandatory,
        channels=sorted(kind.channels),
        fields=sorted(kind.fields),
        wordings=words,
    )


@router.put("/notices/{notice}/{language}", status_code=204)
@policy(allow="write:notices")
async def set_wording(ctx: CurrentCtx, notice: NoticePath, language: LanguagePath, body: WordingIn) -> None:
    """Give the tenant words of its own for a notice."""
    await usecases.set_wording(ctx, notice, language, Wording(body.subject, body.body))


@router.delete("/notices/{notice}/{language}", status_code=204)
@policy(allow="write:notices")
async def remove_wording(ctx: CurrentCtx, notice: NoticePath, language: LanguagePath) -> None:
    """Take the tenant's own words back."""
    await usecases.set_wording(ctx, notice, language, None)
