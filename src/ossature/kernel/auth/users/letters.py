# ruff: noqa: RUF001 - letters of the Hebrew alphabet, and meant as such
"""Mail about an account: a link to choose another password, a link to confirm the address, and what was changed."""

from collections.abc import Mapping
from typing import Final

from ossature.kernel.auth.users.domain import User
from ossature.kernel.context import Ctx
from ossature.kernel.notify.domain import Channel, Notice, Recipient, Wording
from ossature.kernel.notify.usecases import notify

RESET: Final = Notice(
    name="auth.password_reset",
    wordings={
        "en": Wording("Choose a new password", "Hello $name,\n\nsomebody asked for a new password for your account. To choose one, please open\n\n$link\n\nThe link is good once, until $until. If it was not you, there is nothing to do: your password stays as it is.\n"),
        "de": Wording("Neues Passwort wählen", "Guten Tag $name\n\nJemand hat für Ihr Konto ein neues Passwort verlangt. Um eines zu wählen, öffnen Sie bitte\n\n$link\n\nDer Link gilt einmal, bis $until. Wenn Sie es nicht waren, müssen Sie nichts tun: Ihr Passwort bleibt, wie es ist.\n"),
        "fr": Wording("Choisir un nouveau mot de passe", "Bonjour $name,\n\nquelqu'un a demandé un nouveau mot de passe pour votre compte. Pour en choisir un, veuillez ouvrir\n\n$link\n\nLe lien est valable une fois, jusqu'au $until. Si ce n'était pas vous, il n'y a rien à faire : votre mot de passe reste le même.\n"),
        "he": Wording("בחירת סיסמה חדשה", "שלום $name,\n\nמישהו ביקש סיסמה חדשה לחשבון שלך. כדי לבחור סיסמה יש לפתוח את\n\n$link\n\nהקישור תקף פעם אחת, עד $until. אם הבקשה לא באה ממך, אין צורך לעשות דבר: הסיסמה נשארת כפי שהיא.\n"),
    },
    channels=frozenset({Channel.MAIL}),
    mandatory=True,
    fields=frozenset({"name", "link", "until"}),
)  # fmt: skip
VERIFY: Final = Notice(
    name="auth.email_verification",
    wordings={
        "en": Wording("Confirm your e-mail address", "Hello $name,\n\nto confirm that this address is yours, please open\n\n$link\n\nThe link is good once, until $until.\n"),
        "de": Wording("Bestätigen Sie Ihre E-Mail-Adresse", "Guten Tag $name\n\nUm zu bestätigen, dass diese Adresse Ihnen gehört, öffnen Sie bitte\n\n$link\n\nDer Link gilt einmal, bis $until.\n"),
        "fr": Wording("Confirmez votre adresse e-mail", "Bonjour $name,\n\npour confirmer que cette adresse est la vôtre, veuillez ouvrir\n\n$link\n\nLe lien est valable une fois, jusqu'au $until.\n"),
        "he": Wording("אישור כתובת הדואר האלקטרוני", "שלום $name,\n\nכדי לאשר שהכתובת הזאת שייכת לך יש לפתוח את\n\n$link\n\nהקישור תקף פעם אחת, עד $until.\n"),
    },
    channels=frozenset({Channel.MAIL}),
    mandatory=True,
    fields=frozenset({"name", "link", "until"}),
)  # fmt: skip
CHANGED: Final = Notice(
    name="auth.sign_in_changed",
    wordings={
        "en": Wording("Your sign-in was changed", "Hello $name,\n\n$what\n\nThis happened at $at. If it was not you, choose a new password at $link and tell your administrator.\n"),
        "de": Wording("Ihre Anmeldung wurde geändert", "Guten Tag $name\n\n$what\n\nDas geschah am $at. Wenn Sie es nicht waren, wählen Sie unter $link ein neues Passwort und melden Sie es Ihrer Administration.\n"),
        "fr": Wording("Votre connexion a été modifiée", "Bonjour $name,\n\n$what\n\nCela s'est passé le $at. Si ce n'était pas vous, choisissez un nouveau mot de passe sur $link et prévenez votre administration.\n"),
        "he": Wording("פרטי ההתחברות שלך השתנו", "שלום $name,\n\n$what\n\nזה קרה ב-$at. אם השינוי לא נעשה על ידך, יש לבחור סיסמה חדשה בכתובת $link ולהודיע למנהל.\n"),
    },
    channels=frozenset({Channel.MAIL}),
    mandatory=True,
    fields=frozenset({"name", "what", "at", "link"}),
)  # fmt: skip
NOTICES: Final = (RESET, VERIFY, CHANGED)

PASSWORD_RESET: Final = {
    "en": "Your password was replaced by a new one, with a link that was sent to this address.",
    "de": "Ihr Passwort wurde durch ein neues ersetzt, mit einem Link, der an diese Adresse ging.",
    "fr": "Votre mot de passe a été remplacé, au moyen d'un lien envoyé à cette adresse.",
    "he": "הסיסמה שלך הוחלפה, באמצעות קישור שנשלח לכתובת הזאת.",
}

FACTOR_ON: Final = {
    "en": "From now on a code of your authenticator app is asked for besides your password.",
    "de": "Von nun an wird neben Ihrem Passwort ein Code Ihrer Authenticator-App verlangt.",
    "fr": "Désormais, un code de votre application d'authentification est demandé en plus du mot de passe.",
    "he": "מעתה יידרש קוד מאפליקציית האימות שלך בנוסף לסיסמה.",
}
FACTOR_OFF: Final = {
    "en": "From now on your password alone is asked for, and no code.",
    "de": "Von nun an wird nur noch Ihr Passwort verlangt, und kein Code.",
    "fr": "Désormais, seul votre mot de passe est demandé, sans code.",
    "he": "מעתה תידרש הסיסמה בלבד, בלי קוד.",
}
RECOVERY_USED: Final = {
    "en": "Somebody signed in with your password and one of your recovery codes.",
    "de": "Jemand hat sich mit Ihrem Passwort und einem Ihrer Wiederherstellungscodes angemeldet.",
    "fr": "Quelqu'un s'est connecté avec votre mot de passe et un de vos codes de secours.",
    "he": "מישהו התחבר עם הסיסמה שלך ואחד מקודי השחזור שלך.",
}


async def write(ctx: Ctx, user: User, notice: Notice, facts: Mapping[str, object]) -> None:
    """Put a mail to a user on its way, in their language."""
    to = Recipient(person_id=user.id, address=user.email, language=language_of(ctx, user), zone=ctx.tenant.zone)
    await notify(ctx, notice, to, {"name": user.name, **facts})


async def tell_of_change(ctx: Ctx, user: User, what: Mapping[str, str]) -> None:
    """Let a user know that how they sign in was changed. what: the sentence in each language."""
    said = what.get(language_of(ctx, user).partition("-")[0], what["en"])
    link = f"{ctx.settings.main.public_url.rstrip('/')}/console/sign-in"
    await write(ctx, user, CHANGED, {"what": said, "at": f"{ctx.now:%Y-%m-%d %H:%M} UTC", "link": link})


def language_of(ctx: Ctx, user: User) -> str:
    """What a user reads: their own choice, else what the tenant speaks."""
    return user.language or ctx.tenant.language
