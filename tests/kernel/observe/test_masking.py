import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ossature.kernel.observe.masking import HIDDEN, Masker, is_secret_name, mask


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mail jo.doe+x@example.co.uk now", "mail [email] now"),
        ("/v1/users/jo%40example.org/keys", "/v1/users/[email]/keys"),
        ("call +41 79 123 45 67 please", "call [phone] please"),
        ("call 0041791234567", "call [phone]"),
        ("call 079 123 45 67", "call [phone]"),
        ("call (555) 123-4567", "call [phone]"),
        ("from CH93 0076 2011 6238 5295 7 to me", "from [iban] to me"),
        ("DE89370400440532013000", "[iban]"),
        ("Authorization: Bearer abc.def-ghi_123456", f"Authorization: Bearer {HIDDEN}"),
        ("https://x.org/?api_key=s3cr3t&city=Bern", f"https://x.org/?api_key={HIDDEN}&city=Bern"),
        ("postgresql://me:hunter22@db/x", f"postgresql://me:{HIDDEN}@db/x"),
        ("key oss_0123456789abcdefghij", f"key {HIDDEN}"),
        ("sk-proj-0123456789abcdef", HIDDEN),
        ("ghp_0123456789abcdefghijABCDEF", HIDDEN),
        ("AKIAIOSFODNN7EXAMPLE", HIDDEN),
        ("jwt eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl end", f"jwt {HIDDEN} end"),
        ("-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----", HIDDEN),
    ],
)
def test_what_is_personal_or_secret_is_not_shown(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "0190b5d7-3b9c-7aaa-8000-1234567890ab",
        "2026-03-01T12:30:45.123456Z",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "took 12345678 us, 20260301 rows",
        "127.0.0.1:54321 and 10.20.30.40",
        "SELECT id FROM jobs_job WHERE id = $1 LIMIT 100",
        "/v1/hub/weather/46.9480,7.4474",
        "the token bucket is empty",
        "version 0.165.0",
    ],
)
def test_what_is_harmless_stays_readable(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "db_password",
        "Authorization",
        "cookie",
        "Set-Cookie",
        "api_key",
        "X-API-Key",
        "client_secret",
        "access_token",
    ],
)
def test_a_field_with_a_telling_name_is_hidden_whatever_it_holds(name: str) -> None:
    assert is_secret_name(name)
    assert Masker().field(name, {"a": "b"}) == HIDDEN


@pytest.mark.parametrize("name", ["tokens_used", "key", "monkey", "code", "user_id", "token_count"])
def test_a_field_with_a_harmless_name_is_shown(name: str) -> None:
    assert Masker().field(name, "value") == "value"


def test_a_number_is_shown_also_under_a_telling_name() -> None:
    assert Masker().field("tokens", 12) == 12


def test_a_known_secret_is_hidden_inside_of_any_text_and_structure() -> None:
    masker = Masker()
    masker.hide(["correct horse battery", "correct horse"])

    seen = masker.value({"a": ["x correct horse battery y", ("correct horse",)], "b": ValueError("correct horse!")})

    assert seen == {"a": [f"x {HIDDEN} y", [HIDDEN]], "b": f"{HIDDEN}!"}


def test_an_endless_structure_comes_to_an_end() -> None:
    loop: dict[str, object] = {}
    loop["self"] = loop

    assert "self" in Masker().value(loop)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_masking_twice_is_masking_once(text: str) -> None:
    once = mask(text)

    assert mask(once) == once


@settings(max_examples=100, deadline=None)
@given(
    before=st.text(max_size=20),
    name=st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8})?", fullmatch=True),
    after=st.text(max_size=20),
)
def test_no_mail_address_gets_through(before: str, name: str, after: str) -> None:
    assert f"{name}@example.org" not in mask(f"{before} {name}@example.org {after}")
