"""What the types of borders promise of whatever anybody sends."""

import ipaddress
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ossature.kernel.http.validation import Filename, Html, Iban, Line, Phone, Text, WebUrl

IBANS = ("CH9300762011623852957", "DE89370400440532013000", "GB82WEST12345698765432", "NO9386011117947")
anything = st.text(max_size=60)
hosts = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.from_regex(r"[a-z0-9.\-]{1,30}", fullmatch=True),
    st.text(alphabet="0123456789.xabcdef①②⑦⓪。\uff0e", min_size=1, max_size=16),
)


def taken(kind: Any, value: str) -> str | None:
    """The value as the type keeps it, or None when it is refused; nothing else may happen."""
    try:
        kept: str = TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return None
    return kept


@pytest.mark.parametrize("kind", [Line, Text, Filename, Iban, Phone, WebUrl, Html])
@given(value=anything)
def test_what_is_taken_once_is_taken_again_as_it_is(kind: Any, value: str) -> None:
    kept = taken(kind, value)
    if kept is not None and kept.strip() == kept:
        assert taken(kind, kept) == kept


@given(value=anything)
def test_a_line_that_is_taken_is_one_line_of_normal_text(value: str) -> None:
    kept = taken(Line, value)
    if kept is not None:
        assert unicodedata.is_normalized("NFC", kept)
        assert 1 <= len(kept) <= 200
        assert not any(unicodedata.category(letter) == "Cc" for letter in kept)


@given(value=anything)
@example("a/../../etc/passwd")
@example("C:evil")
@example("nul .txt")
def test_a_file_name_that_is_taken_stays_in_its_folder_on_every_system(value: str) -> None:
    kept = taken(Filename, value)
    if kept is not None:
        for path in (PurePosixPath(kept), PureWindowsPath(kept)):
            assert path.name == kept
            assert not path.is_absolute()
        assert len(kept.encode()) <= 255


@given(host=hosts, path=st.text(alphabet="abc/?#@:%\\", max_size=12))
@example("①②⑦.⓪.⓪.①", "")
@example("127。0。0。1", "")
@example("169.254.169.254", "/latest/meta-data")
@example("[::ffff:10.0.0.1]", "")
@example("evil.example\\@127.0.0.1", "")
def test_a_web_address_that_is_taken_names_no_private_machine(host: str, path: str) -> None:
    kept = taken(WebUrl, f"http://{host}{path}")
    if kept is None:
        return
    named = unicodedata.normalize("NFKC", urlsplit(kept).hostname or "").replace("。", ".").rstrip(".")
    assert named != "localhost"
    try:
        address = ipaddress.ip_address(named)
    except ValueError:
        return
    assert address.is_global


@given(iban=st.sampled_from(IBANS), place=st.integers(min_value=4, max_value=14), digit=st.sampled_from("0123456789"))
def test_an_iban_with_one_digit_changed_is_refused(iban: str, place: int, digit: str) -> None:
    assume(iban[place].isdigit() and iban[place] != digit)
    assert taken(Iban, iban) == iban
    assert taken(Iban, iban[:place] + digit + iban[place + 1 :]) is None


@given(text=st.text(alphabet="<>/\"'= scriptonlarimgev:&;", max_size=80))
@example("<scr<script>ipt>alert(1)</script>")
@example('<img src=x onerror="alert(1)">')
@example('<a href="javascript:alert(1)">x</a>')
def test_html_that_was_cleaned_has_nothing_that_runs(text: str) -> None:
    kept = taken(Html, text)
    assert kept is not None
    lowered = kept.lower()
    assert "<script" not in lowered
    assert "<iframe" not in lowered
    assert not any(
        f" {handler}=" in tag for tag in lowered.split("<")[1:] for handler in ("onerror", "onload", "onclick")
    )
    assert 'href="javascript:' not in lowered
