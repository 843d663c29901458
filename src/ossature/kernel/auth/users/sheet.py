"""The small page that a link in a mail opens: a sentence, and mostly a form that sends itself back."""

import html
from collections.abc import Mapping
from string import Template
from typing import Any

from fastapi import Request
from starlette.responses import HTMLResponse

from ossature.kernel.http.openapi import REFUSALS
from ossature.kernel.http.security import PAGE_CSP
from ossature.kernel.i18n.language import Language, choose, language

_HEADERS = {"content-security-policy": PAGE_CSP.decode()}
_PAGE = Template(
    """<!doctype html><html lang="$language" dir="$direction"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>$title</title>
<style>body{font:16px/1.5 system-ui;max-width:26rem;margin:4rem auto;padding:0 1rem}
input,button{font:inherit;width:100%;padding:.5rem;margin:.25rem 0;box-sizing:border-box}</style>
<h1>$title</h1><p role="status">$said</p>$form</html>"""
)
PASSWORD_FORM = Template(
    """<form method="post"><label>$password
<input type="password" name="password" autocomplete="new-password" required maxlength="1024"></label>
<button>$choose</button></form>"""
)
BUTTON_FORM = Template("""<form method="post"><button>$choose</button></form>""")
SIGN_IN = Template('<p><a href="/console/sign-in">$sign_in</a></p>')
NOTHING = Template("")
AGAIN: dict[str, Any] = {
    "description": "The page again, saying why; or a problem (RFC 9457) when the form itself cannot be read.",
    "content": {**REFUSALS["4XX"]["content"], "text/html": {"schema": {"type": "string"}}},
}


def language_of(request: Request) -> Language:
    """The language of the browser."""
    return choose(accept=request.headers.get("accept-language", ""))


def page(said: str, form: Template, words: Mapping[str, str], *, status: int = 200) -> HTMLResponse:
    """The page in the language that is spoken here. words: `title`, and what the form says."""
    shown = {key: html.escape(text) for key, text in words.items()}
    reader = language()
    head = {"language": reader.code, "direction": reader.direction, "said": html.escape(said)}
    text = _PAGE.substitute(title=shown["title"], form=form.safe_substitute(shown), **head)
    return HTMLResponse(text, status, headers={**_HEADERS, "content-language": reader.code})
