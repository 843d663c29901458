"""The catalogues of translations: `ossature/locales/CODE.po`, compiled when a language is first spoken."""

from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from ossature.kernel.i18n.language import FALLBACK


@cache
def catalogue(code: str) -> NullTranslations:
    """The translations into a language; English is what stands in the sources. Raises: FileNotFoundError."""
    if code == FALLBACK.code:
        return NullTranslations()
    with files("ossature").joinpath("locales", f"{code}.po").open("rb") as source:
        messages = read_po(source, locale=code)
    compiled = BytesIO()
    write_mo(compiled, messages)
    compiled.seek(0)
    return GNUTranslations(compiled)
