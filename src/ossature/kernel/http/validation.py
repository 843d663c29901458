"""Types for what comes in and goes out: text that is what it seems, addresses, numbers, names of files, HTML.

    class ClientIn(Input):  # of kernel.http.input
        name: Line
        phone: Phone | None = None
        callback: WebUrl

Each says in the OpenAPI document what it is (`format`); a law holds the fields whose names promise such a value to it.
There is no list of forbidden words: queries have parameters and output is encoded, so `'; DROP TABLE` is a name like any
other.
"""

import re
import unicodedata
from collections.abc import Callable, Collection
from functools import cache
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit
from zoneinfo import available_timezones

import nh3
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, EmailStr, Field
from pydantic.fields import FieldInfo

from ossature.kernel.outbound.guard import AddressRefused, check_public

_LINE_MOST = 200
_TEXT_MOST = 10_000
_HTML_MOST = 100_000
_URL_MOST = 2048
_FILENAME_MOST_BYTES = 255
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip
"""Lengths by country. Source: SWIFT IBAN registry; a country that is not here is checked by its digits only."""
_DEVICES = frozenset({"CON", "PRN", "AUX", "NUL", *(f"{kind}{n}" for kind in ("COM", "LPT") for n in range(1, 10))})
_COUNTRY_CHARS = 2
# Codes that CLDR has names for and that are no countries: groups of them, reserved ones, and those for tests.
_NO_COUNTRIES = frozenset({"AC", "CP", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"})
# Right-to-left overrides and their like make a text look like another (CVE-2021-42574).
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Output(BaseModel):
    """Base of what is answered: read from values of the domain, and no field has a default."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a default: a field that was forgotten must not go out as if it were known."""
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if not field.is_required():
                msg = f"{cls.__name__}.{name} has a default; say the value where the answer is made"
                raise TypeError(msg)


def _refuse_control(allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        for letter in text:
            if (unicodedata.category(letter) in {"Cc", "Cs"} and letter not in allowed) or letter in _BIDI:
                msg = "Control characters are not allowed."
                raise ValueError(msg)
        return text

    return check


def _normalised(value: object) -> object:
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else value


def _phone(text: str) -> str:
    import phonenumbers  # noqa: PLC0415 - 50 ms that only a process that reads numbers pays

    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        msg = "Give a phone number with its country code, such as +41 44 668 18 00."
        raise ValueError(msg)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _iban(text: str) -> str:
    iban = re.sub(r"[\s-]", "", text).upper()
    digits = "".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4]) if _IBAN.fullmatch(iban) else "0"
    if int(digits) % 97 != 1 or len(iban) != _IBAN_LENGTHS.get(iban[:2], len(iban)):
        msg = "This is no IBAN; one letter or digit may be wrong."
        raise ValueError(msg)
    return iban


def _called_url(text: str) -> str:
    try:
        parts: SplitResult = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = SplitResult("", "", "", "", ""), ""
    if parts.scheme not in {"http", "https"} or not host or any(letter.isspace() for letter in text):
        msg = "Give a web address that begins with http:// or https://."
        raise ValueError(msg)
    if parts.username or parts.password:
        msg = "A web address with a user name in it is not taken."
        raise ValueError(msg)
    return text


def _web_url(text: str) -> str:
    try:
        check_public(urlsplit(text).hostname or "")
    except AddressRefused as error:
        raise ValueError(str(error)) from error
    return text


def _filename(text: str) -> str:
    stem = text.partition(".")[0].upper()
    if (
        text in {"", ".", ".."}
        or any(letter in '/\\:*?"<>|' for letter in text)
        or text.endswith(".")
        or stem in _DEVICES
        or len(text.encode()) > _FILENAME_MOST_BYTES
    ):
        msg = 'Give a plain file name, without a folder and without any of / \\ : * ? " < > |'
        raise ValueError(msg)
    return text


@cache
def _zones() -> Collection[str]:
    return frozenset(available_timezones())


@cache
def _countries() -> Collection[str]:
    from babel import Locale  # noqa: PLC0415 - its tables are read when they are needed

    codes = {code for code in map(str, Locale("en").territories) if len(code) == _COUNTRY_CHARS and code.isalpha()}
    return frozenset(codes - _NO_COUNTRIES)


@cache
def _currencies() -> Collection[str]:
    from babel.numbers import list_currencies  # noqa: PLC0415 - as above

    return frozenset(list_currencies())


def _one_of(known: Callable[[], Collection[str]], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if text not in known():
            msg = f"This is not {what}."
            raise ValueError(msg)
        return text

    return AfterValidator(check)


def _named(kind: str, most: int, **rules: Any) -> FieldInfo:
    """The bound of a text, and what it is called in the OpenAPI document."""
    described: FieldInfo = Field(max_length=most, json_schema_extra={"format": kind}, **rules)
    return described


_clean = BeforeValidator(_normalised)

Line = Annotated[str, _clean, Field(min_length=1, max_length=_LINE_MOST), AfterValidator(_refuse_control(""))]
"""One line: 1 to 200 characters, NFC, no control characters, no space around it."""

Text = Annotated[str, _clean, Field(max_length=_TEXT_MOST), AfterValidator(_refuse_control("\n\r\t"))]
"""Some lines: at most 10,000 characters, NFC, no control characters but line breaks and tabs."""

Email = Annotated[EmailStr, Field(max_length=254, examples=["ada@example.com"])]
"""An e-mail address that could exist on the internet (RFC 5321); whether it does, only a letter can tell."""

Phone = Annotated[str, _clean, _named("phone", 40, examples=["+41 44 668 18 00"]), AfterValidator(_phone)]
"""A phone number as E.164: `+41446681800`."""

Iban = Annotated[str, _clean, _named("iban", 50, examples=["CH93 0076 2011 6238 5295 7"]), AfterValidator(_iban)]
"""An IBAN without spaces, its check digits and its length checked (ISO 13616)."""

CalledUrl = Annotated[str, _clean, _named("uri", _URL_MOST, min_length=8), AfterValidator(_called_url)]
"""A web address that we call. Whether we may is for the room that does to say: it knows what the operator opened."""

WebUrl = Annotated[CalledUrl, AfterValidator(_web_url)]
"""A web address outside of our own networks. What its name leads to is checked again when it is called."""

Filename = Annotated[
    str,
    _clean,
    _named("filename", 255, examples=["invoice 7.pdf"]),
    AfterValidator(_refuse_control("")),
    AfterValidator(_filename),
]
"""The name of a file, good on every system, without a path."""

Zone = Annotated[
    str, _named("time-zone", 64, examples=["Europe/Zurich"]), _one_of(_zones, "a time zone, such as Europe/Zurich")
]
"""A time zone that the IANA database knows."""

LanguageTag = Annotated[str, _named("language", 35, pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", examples=["en"])]
"""A language in the form of BCP 47; which of them are spoken is for the reader to say."""

Country = Annotated[
    str, _named("country", 2, pattern=r"^[A-Z]{2}$", examples=["CH"]), _one_of(_countries, "a country, such as CH")
]
"""A country that has a code (ISO 3166-1, alpha-2)."""

Currency = Annotated[
    str, _named("currency", 3, pattern=r"^[A-Z]{3}$", examples=["EUR"]), _one_of(_currencies, "a currency, such as EUR")
]
"""A currency that has, or had, a code (ISO 4217)."""

Html = Annotated[str, _clean, Field(max_length=_HTML_MOST), AfterValidator(nh3.clean)]
"""HTML with nothing in it that runs: scripts, styles, handlers and foreign frames are taken out."""
