"""What exactly is signed, and what a signature must say: shown with the examples of RFC 9421, appendix B.2."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ossature.kernel.auth.signatures import domain
from ossature.kernel.auth.signatures.domain import (
    Algorithm,
    Asked,
    Signature,
    SignatureIncomplete,
    SignatureMalformed,
    SignatureOutOfTime,
)
from ossature.kernel.errors import InvalidInput
from ossature.kernel.http.problems import BadRequest
from ossature.kernel.http.signed import DigestUnusable, digests

DIGEST = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
SECRET = base64.b64decode("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
PUBLIC = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
"""
B25 = b'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
B26 = (
    b'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length")'
    b';created=1618884473;keyid="test-key-ed25519"'
)
NONCE = "0123456789abcdef"
GOOD = f'a=("@method" "@target-uri");created=1618884473;keyid="k";nonce="{NONCE}"'


def asked(given: bytes | str = b"", value: bytes | str = b"a=:AAAA:", **fields: str) -> Asked:
    """The test request of appendix B.2, with a signature."""
    lines = {
        "host": "example.com",
        "date": "Tue, 20 Apr 2021 02:07:55 GMT",
        "content-type": "application/json",
        "content-digest": DIGEST,
        "content-length": "18",
    }
    both = {"signature-input": given, "signature": value}
    found = {name: [text.encode()] for name, text in (lines | fields).items() if text}
    found |= {name: [text.encode() if isinstance(text, str) else text] for name, text in both.items()}
    return Asked(method="POST", scheme="https", target="/foo?param=Value&Pet=dog", fields=found)


def signature(*components: Any, **stated: Any) -> Signature:
    pairs = [one if isinstance(one, tuple) else (one, {}) for one in components]
    return Signature(components=tuple(pairs), stated=stated, value=b"")


def test_a_request_that_is_signed_with_a_shared_secret() -> None:
    request = asked(B25, b"sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:")
    found = domain.read(request)
    assert found is not None
    signed = domain.base(found, request)

    assert domain.fits(Algorithm.HMAC_SHA256, SECRET, signed, found.value)
    assert not domain.fits(Algorithm.HMAC_SHA256, SECRET[1:], signed, found.value)
    assert not domain.fits(Algorithm.HMAC_SHA256, SECRET, signed + b" ", found.value)


def test_a_request_that_is_signed_with_ed25519() -> None:
    value = b"sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:"
    request = asked(B26, value)
    found = domain.read(request)
    assert found is not None
    signed, public = domain.base(found, request), domain.read_public_key(PUBLIC)

    assert domain.fits(Algorithm.ED25519, public, signed, found.value)
    assert not domain.fits(Algorithm.ED25519, public, signed.replace(b"POST", b"PUT"), found.value)
    assert not domain.fits(Algorithm.ED25519, public, signed, b"short")
    assert domain.read_public_key(base64.b64encode(public).decode()) == public


def test_the_bases_of_the_other_examples() -> None:
    """B.2.1 to B.2.3, whose signatures are made with an algorithm that is not ours."""
    stated = {"created": 1618884473, "keyid": "test-key-rsa-pss"}
    made = ';created=1618884473;keyid="test-key-rsa-pss"'
    nothing = signature(**stated, nonce="b3k2pp5k7z-50gnwp.yemd")
    some = signature("@authority", "content-digest", ("@query-param", {"name": "Pet"}), **stated, tag="header-example")
    parts = ("date", "@method", "@path", "@query", "@authority", "content-type", "content-digest", "content-length")

    assert domain.base(nothing, asked()).decode() == (
        '"@signature-params": ();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"'
    )
    assert domain.base(some, asked()).decode().splitlines() == [
        '"@authority": example.com',
        f'"content-digest": {DIGEST}',
        '"@query-param";name="Pet": dog',
        '"@signature-params": ("@authority" "content-digest" "@query-param";name="Pet")'
        + made
        + ';tag="header-example"',
    ]
    assert domain.base(signature(*parts, **stated), asked()).decode().splitlines() == [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@method": POST',
        '"@path": /foo',
        '"@query": ?param=Value&Pet=dog',
        '"@authority": example.com',
        '"content-type": application/json',
        f'"content-digest": {DIGEST}',
        '"content-length": 18',
        '"@signature-params": (' + " ".join(f'"{part}"' for part in parts) + f"){made}",
    ]


@pytest.mark.parametrize(
    ("name", "parameters", "target", "value"),
    [
        ("@target-uri", {}, "/a?b=c", "https://www.example.com/a?b=c"),
        ("@request-target", {}, "/a?b=c", "/a?b=c"),
        ("@scheme", {}, "/", "https"),
        ("@query", {}, "/a", "?"),
        ("@query", {}, "/a?queryString", "?queryString"),
        ("@path", {}, "", "/"),
        ("@query-param", {"name": "var"}, "/a?var=this%20is%20a%20big%0Amultiline", "this%20is%20a%20big%0Amultiline"),
        ("@query-param", {"name": "bar"}, "/a?bar=with+plus+whitespace", "with%20plus%20whitespace"),
        ("@query-param", {"name": "fa%C3%A7ade%22%3A%20"}, "/a?fa%C3%A7ade%22%3A%20=something", "something"),
        ("x-twice", {}, "/", "one, two"),
    ],
)
def test_parts_of_a_request_are_written_as_the_standard_has_them(
    name: str, parameters: Mapping[str, str], target: str, value: str
) -> None:
    fields: Mapping[str, Sequence[bytes]] = {"host": [b"WWW.Example.com:443"], "x-twice": [b" one ", b"two"]}
    request = Asked(method="GET", scheme="https", target=target, fields=fields)
    first = domain.base(signature((name, parameters)), request).decode().splitlines()[0]

    assert first.partition(": ")[2] == value


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("", "a=:AAAA:"),
        ("a", "a=:AAAA:"),
        ("a=1", "a=:AAAA:"),
        ("a=(", "a=:AAAA:"),
        (b"a=(\xff)", "a=:AAAA:"),
        ('a=("@method");created=1.5', "a=:AAAA:"),
        ('a=("@method");created="1"', "a=:AAAA:"),
        ('a=("@method");keyid=token', "a=:AAAA:"),
        ('a=("@method");unheard=1', "a=:AAAA:"),
        ('a=("@method");created=1;created=2', "a=:AAAA:"),
        ('a=("@method" "@method")', "a=:AAAA:"),
        ('a=("@status")', "a=:AAAA:"),
        ('a=("@method";req)', "a=:AAAA:"),
        ('a=("date";sf)', "a=:AAAA:"),
        ('a=("Date")', "a=:AAAA:"),
        ("a=(date)", "a=:AAAA:"),
        ('a=("@query-param")', "a=:AAAA:"),
        ("a=(" + " ".join(f'"x-{n}"' for n in range(51)) + ")", "a=:AAAA:"),
        (GOOD, "b=:AAAA:"),
        (GOOD, "a=AAAA"),
        (GOOD, "a=:AAAA:, a=:AAAA:"),
        (f"{GOOD}, {GOOD}", "a=:AAAA:"),
        (f"{GOOD}, b{GOOD[1:]}", "a=:AAAA:, b=:AAAA:"),
        (", ".join(f'x{n}{GOOD[1:]};tag="x"' for n in range(9)), "a=:AAAA:"),
        (f'{GOOD};tag="{"x" * 9000}"', "a=:AAAA:"),
        (GOOD, f"a=:{'A' * 9000}:"),
    ],
)
def test_what_cannot_be_read_is_refused(given: bytes | str, value: str) -> None:
    with pytest.raises(SignatureMalformed):
        domain.read(asked(given, value))


def test_signatures_for_others_are_left_alone() -> None:
    theirs = 'theirs=("@authority");keyid="x";tag="web-bot-auth"'
    assert domain.read(asked(theirs, "theirs=:AAAA:")) is None
    ours = domain.read(asked(f'{theirs}, {GOOD};tag="ossature"', "theirs=:AAAA:, a=:AQID:"))
    assert ours is not None
    assert ours.value == b"\x01\x02\x03"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ('a=("@target-uri" "content-digest");created=1;keyid="k";nonce="n"', ["@method"]),
        ('a=("@method" "@target-uri");created=1;keyid="k";nonce="n"', ["content-digest"]),
        ('a=("@method" "content-digest")', ["created", "keyid", "nonce", "@authority", "@path", "@query"]),
        ('a=("@method" "host" "@path" "content-digest");created=1;keyid="k";nonce="n"', ["@query"]),
    ],
)
def test_a_signature_that_leaves_something_out_is_told_what(given: str, missing: list[str]) -> None:
    found = domain.read(asked(given))
    assert found is not None
    with pytest.raises(SignatureIncomplete) as refused:
        domain.check(found, asked(given), now_s=1, age_s=300, skew_s=30)
    assert refused.value.facts == {"missing": missing}


@pytest.mark.parametrize(
    ("created", "more", "good"),
    [(1000, "", True), (700, "", True), (699, "", False), (1030, "", True), (1031, "", False), (1000, ";expires=1000", False),
     (1000, ";expires=1001", True)],
)  # fmt: skip
def test_a_signature_is_of_now(created: int, more: str, good: bool) -> None:
    given = f'a=("@method" "@target-uri" "content-digest");created={created};keyid="k";nonce="{NONCE}"{more}'
    found = domain.read(asked(given))
    assert found is not None
    if good:
        domain.check(found, asked(given), now_s=1000, age_s=300, skew_s=30)
        return
    with pytest.raises(SignatureOutOfTime):
        domain.check(found, asked(given), now_s=1000, age_s=300, skew_s=30)


def test_what_a_request_does_not_have_cannot_be_signed() -> None:
    with pytest.raises(SignatureMalformed):
        domain.base(signature("x-absent"), asked())
    with pytest.raises(SignatureMalformed):
        domain.base(signature(("@query-param", {"name": "absent"})), asked())
    with pytest.raises(SignatureMalformed):
        domain.base(signature("x-odd"), asked(**{"x-odd": "caf\u00e9"}))


def test_digests_are_read_strictly() -> None:
    right = base64.b64encode(bytes(32)).decode()
    assert digests(f"sha-256=:{right}:, md5=:AAAA:".encode()) == {"sha-256": bytes(32)}
    for wrong in ("", "md5=:AAAA:", "sha-256=:AAAA:", f"sha-256={right}", f"sha-256=:{right}:, sha-256=:{right}:"):
        with pytest.raises(DigestUnusable):
            digests(wrong.encode())
    assert issubclass(DigestUnusable, BadRequest)


@pytest.mark.parametrize("text", ["", "AAAA", "no base64", PUBLIC.replace("MCow", "MCox"), "-----BEGIN NOTHING-----"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        domain.read_public_key(text)
