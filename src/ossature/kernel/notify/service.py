"""Notifications as a part of the house."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ossature.kernel.http.secret import installation_secret
from ossature.kernel.notify import store
from ossature.kernel.notify.api import router
from ossature.kernel.notify.domain import Notified
from ossature.kernel.notify.jobs import PURGE
from ossature.kernel.notify.settings import NotifySettings
from ossature.kernel.notify.usecases import SEND_MAIL, Post
from ossature.kernel.outbound.smtp import SmtpSettings, mailer_for
from ossature.kernel.service import Fact, Personal, Service

if TYPE_CHECKING:
    from ossature.kernel.house import House


def open_post(house: House) -> Post:
    """What telling people needs: the way of mail, what services tell, and what signs the links to opt out."""
    notices = [notice for service in house.services for notice in service.notices]
    mailer = mailer_for(house.settings[SmtpSettings], house.settings.main.var_dir)
    return Post.of(mailer, notices, installation_secret(house.settings))


service: Final = Service(
    name="notify",
    title="Notifications",
    prefix="/v1/inbox",
    settings=(NotifySettings, SmtpSettings),
    router=router,
    tables=(store.InboxRow, store.MailRow, store.PreferenceRow, store.QuietRow, store.WordingRow),
    sealed=(store.BODY,),
    jobs=(SEND_MAIL, PURGE),
    facts=(Fact(type=Notified, wire="notification.created"),),
    offers={Post: open_post},
    permissions=frozenset({"read:inbox", "write:inbox", "write:notices"}),
    personal=(
        Personal("notify_inbox.body", erase="delete_row", person="person_id"),
        Personal("notify_mail.address", erase="delete_row", person="person_id"),
        Personal("notify_preference.person_id", erase="delete_row", person="person_id"),
        Personal("notify_quiet.person_id", erase="delete_row", person="person_id"),
    ),
)
