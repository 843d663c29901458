"""One's own account: the second factor, the recovery codes, the address that mail goes to."""

from collections.abc import Callable

from ossature.kernel.auth.factors import usecases as factors
from ossature.kernel.auth.factors.domain import Enrolment
from ossature.kernel.auth.users import mailed
from ossature.kernel.auth.users import store as users
from ossature.kernel.console import say
from ossature.kernel.console.parts import (
    Refreshed,
    button,
    drawn,
    empty,
    facts,
    field,
    lamp,
    panel,
    sheet,
    show_secret,
    svg,
    tag,
    toast,
)
from ossature.kernel.console.shell import heading
from ossature.kernel.console.visit import Visit
from ossature.kernel.i18n.words import Words

WORDS = Words(
    "console.account",
    {
        "title": "Your account",
        "note": "How you sign in, and where mail to you goes.",
        "none": "No account of a person",
        "none_text": "You are signed in with an API key. Only a person has a password and a second factor.",
        "factor": "Second factor",
        "off": "Off: the password alone lets in",
        "on": "On since {at}",
        "left": "Recovery codes left",
        "turn_on": "Turn on",
        "turn_off": "Turn off",
        "renew": "New recovery codes",
        "password": "Your password",
        "go_on": "Continue",
        "cancel": "Cancel",
        "scan": "Scan this with your authenticator app, or type the secret into it. Then enter the code that it shows.",
        "picture": "QR code for the authenticator app",
        "secret": "Secret",
        "code": "Code",
        "confirm": "Confirm",
        "codes": "Recovery codes: keep them where your phone is not",
        "is_off": "The second factor is off",
        "email": "E-mail",
        "verified": "Confirmed {at}",
        "unverified": "Not confirmed",
        "send": "Send a link to confirm it",
        "sent": "A mail is on its way",
    },
)


async def account(visit: Visit) -> None:
    """Draw the page."""
    heading(WORDS("title"), note=WORDS("note"))
    if visit.actor.kind != "user":
        with panel():
            empty(WORDS("none"), WORDS("none_text"))
        return
    desk = _Desk(visit)
    with tag("div", cls="o-stack"):
        with panel(WORDS("factor")):
            desk.factor = await drawn(30.0, desk.draw_factor, "o-stack")
        with panel(WORDS("email")):
            await drawn(30.0, desk.draw_email, "o-stack")


class _Desk:
    """What is done on this page, and drawing it again afterwards."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.factor: Refreshed | None = None

    async def draw_factor(self) -> None:
        """Whether a code is asked for, and what can be done about that."""
        async with self.visit.ctx("*") as ctx:
            mine = await factors.factors_of(ctx)
        with tag("div", cls="o-form"):
            if mine.confirmed_at is None:
                lamp("off", WORDS("off"))
            else:
                lamp("good", WORDS("on", at=say.instant(mine.confirmed_at, self.visit.zone)))
                facts([(WORDS("left"), say.count(mine.recovery_codes_left))])
        with tag("div", cls="o-row"):
            if mine.confirmed_at is None:
                button(WORDS("turn_on"), self.turn_on, kind="main")
            else:
                button(WORDS("renew"), self.renew)
                button(WORDS("turn_off"), self.turn_off, kind="danger")

    async def draw_email(self) -> None:
        """The address, and whether mail to it arrives."""
        async with self.visit.ctx("*") as ctx:
            mine = await users.user(ctx.db, ctx.actor.id) if ctx.actor.id is not None else None
        if mine is None:
            return
        verified = mine.email_verified_at
        with tag("div", cls="o-form"):
            tag("span", mine.email)
            if verified is not None:
                lamp("good", WORDS("verified", at=say.instant(verified, self.visit.zone)))
            else:
                lamp("warn", WORDS("unverified"))
        if verified is None:
            with tag("div", cls="o-row"):
                button(WORDS("send"), self.send)

    async def turn_on(self) -> None:
        """Take an app up: the password, the picture, a code; then the recovery codes are shown."""
        password = await _asked(WORDS("turn_on"), WORDS("password"), WORDS("go_on"), secret=True)
        if password is None:
            return
        async with self.visit.ctx("*") as ctx:
            made = await factors.enrol(ctx, password)
        code = await _scanned(made)
        if code is None:
            return
        async with self.visit.ctx("*") as ctx:
            codes = await factors.confirm(ctx, code)
        await show_secret(WORDS("codes"), "\n".join(codes))
        await self.again()

    async def renew(self) -> None:
        """Put new recovery codes in the place of those before."""
        code = await _asked(WORDS("renew"), WORDS("code"), WORDS("confirm"))
        if code is None:
            return
        async with self.visit.ctx("*") as ctx:
            codes = await factors.renew_recovery_codes(ctx, code)
        await show_secret(WORDS("codes"), "\n".join(codes))
        await self.again()

    async def turn_off(self) -> None:
        """Ask for no code any more."""
        code = await _asked(WORDS("turn_off"), WORDS("code"), WORDS("confirm"))
        if code is None:
            return
        async with self.visit.ctx("*") as ctx:
            await factors.remove(ctx, code)
        toast(WORDS("is_off"), tone="good")
        await self.again()

    async def send(self) -> None:
        """Have a link sent that confirms the address."""
        async with self.visit.ctx("*") as ctx:
            await mailed.ask_for_verification(ctx)
        toast(WORDS("sent"), tone="good")

    async def again(self) -> None:
        """Draw anew what the second factor is."""
        if self.factor is not None:
            await self.factor.again()


async def _scanned(made: Enrolment) -> str | None:
    """The code of the app that took up what is shown; None when the person changed their mind."""

    def draw() -> None:
        tag("p", WORDS("scan"))
        with tag("div", role="img", aria_label=WORDS("picture")):
            svg(made.qr_svg)
        tag("span", WORDS("secret"), "o-label")
        tag("code", made.secret, "o-mono")

    return await _asked(WORDS("factor"), WORDS("code"), WORDS("confirm"), draw=draw)


async def _asked(
    title: str, label: str, action: str, *, secret: bool = False, draw: Callable[[], None] | None = None
) -> str | None:
    """One line that the person typed; None when they changed their mind."""

    async def agree() -> None:
        if line.value:
            dialog.submit(line.value.strip() if not secret else line.value)

    async def leave() -> None:
        dialog.submit(None)

    with sheet(title) as dialog:
        if draw is not None:
            draw()
        with tag("div", cls="o-form"):
            line = field(label, kind="password" if secret else "text")
        with tag("div", cls="o-actions"):
            button(WORDS("cancel"), leave)
            button(action, agree, kind="main")
    answer = await dialog
    dialog.delete()
    return answer if isinstance(answer, str) else None
