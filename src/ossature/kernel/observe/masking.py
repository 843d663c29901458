"""What never leaves the house in a log line: personal data, credentials, and the values of our own secrets."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

HIDDEN = "[hidden]"
MAX_DEPTH = 6
# A shorter value would also hide innocent words.
MIN_SECRET_CHARS = 8

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?$|^pwd$|secret|token$|^tokens$|authorization|cookie|credential|api[-_]?key|private[-_]?key|"
    r"^x-api-key$|signature$|^dsn$|^otp$|recovery[-_]?code",
    re.IGNORECASE,
)

_TOKEN = re.compile(
    r"(?P<scheme>\b(?:Bearer|(?:Basic|Token|ApiKey)(?=\s+(?:\S*[\d=]|\S{20})))\s+)[A-Za-z0-9._~+/=\-]{6,}"
    r"|(?P<query>(?:^|[?&;,\s\"'])(?:[a-z_\-]*(?:api_?-?key|token|secret|password|passwd|signature)|key|sig|code|pwd)=)[^&\s\"',;]+"
    r"|(?P<userinfo>://[^/\s:@]*:)[^/\s@]+(?=@)"
    r"|\beyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*)*"
    r"|\b(?:os[clrs]|whsec|sk|pk|rk|gsk|pplx|hf|glpat|npm|xai|csk)[_\-][A-Za-z0-9_\-]{12,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bxox[abeoprs]-[A-Za-z0-9\-]{10,}"
    r"|\bA[KS]IA[0-9A-Z]{16}\b|\bAIza[A-Za-z0-9_\-]{30,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_EMAIL = re.compile(r"[A-Za-z0-9._%+'\-]{1,64}(?:@|%40)(?:[A-Za-z0-9\-]{1,63}\.)+[A-Za-z]{2,24}")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ \-]?[A-Z0-9]{4}){2,7}(?:[ \-]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_PHONE = re.compile(
    r"(?<![\w.\-:])(?:"
    r"(?:\+|00)[1-9](?:[ .\-/()]{0,2}\d){7,13}"  # international
    r"|\(?0[1-9]\)?(?:[ .\-/]?\d){7,9}"  # national, with its trunk zero
    r"|\(?[2-9]\d{2}\)?[ .\-]\d{3}[ .\-]\d{4}"  # North American
    r")(?![\w\-])"
)
# Most texts hold none of these; looking for them is fifteen times cheaper than the expression for tokens.
_TOKEN_WORDS = (
    "bearer", "basic", "apikey", "token", "key", "secret", "pass", "pwd", "sig", "code", "://", "eyj", "osc_", "osl_", "osr_", "oss_", "oss-",
    "sk-", "sk_", "pk-", "pk_", "rk_", "rk-", "gsk", "pplx", "hf_", "glpat", "npm_", "xai", "csk", "ghp_", "gho_",
    "ghu_", "ghs_", "ghr_", "github", "xox", "akia", "asia", "aiza", "whsec", "private",
)  # fmt: skip


def mask(text: str) -> str:
    """The text without credentials, e-mail addresses, IBANs and phone numbers."""
    lowered = text.lower()
    for word in _TOKEN_WORDS:
        if word in lowered:
            text = _TOKEN.sub(_hide_token, text)
            break
    if "@" in text or "%40" in text:
        text = _EMAIL.sub("[email]", text)
    text = _IBAN.sub("[iban]", text)
    return _PHONE.sub("[phone]", text)


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds something that is not for anybody's eyes."""
    return _SECRET_NAME.search(name) is not None


def _hide_token(found: re.Match[str]) -> str:
    groups = found.groupdict()
    return f"{groups['scheme'] or groups['query'] or groups['userinfo'] or ''}{HIDDEN}"


def _nothing(text: str) -> str:
    return text


class Masker:
    """Masks values of any shape: texts by what they look like, fields by their names, known secrets wherever they are."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._hide_known: Callable[[str], str] = _nothing

    def hide(self, secrets: Iterable[str]) -> None:
        """Never show these values again. Too short ones (below 8 characters) are left alone."""
        self._secrets.update(secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS)
        if self._secrets:
            longest_first = sorted(self._secrets, key=len, reverse=True)
            known = re.compile("|".join(re.escape(secret) for secret in longest_first))
            self._hide_known = lambda text: known.sub(HIDDEN, text)

    def text(self, text: str) -> str:
        """A text as it may be shown."""
        return mask(self._hide_known(text))

    def value(self, value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - what a log line may carry
        """A value as it may be shown; what is no JSON value becomes masked text."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, str):
            return self.text(value)
        if depth >= MAX_DEPTH:
            return self.text(str(value))
        if isinstance(value, Mapping):
            return {str(key): self.field(str(key), item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(item, depth + 1) for item in value]
        return self.text(str(value))

    def field(self, name: str, value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - what a log line may carry
        """A named value as it may be shown: nothing of it, if the name says that it is secret."""
        if value and is_secret_name(name) and not isinstance(value, (bool, int, float)):
            return HIDDEN
        return self.value(value, depth)
