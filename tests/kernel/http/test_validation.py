"""The types of inputs: what is taken, in which form, and what is refused."""

from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError

from ossature.kernel.http import validation as v
from ossature.kernel.http.input import Input


def taken(kind: Any, value: object) -> Any:
    return TypeAdapter(kind).validate_python(value)


def is_refused(kind: Any, value: object) -> bool:
    try:
        taken(kind, value)
    except ValidationError:
        return True
    return False


def test_text_comes_normalised_and_without_space_around() -> None:
    assert taken(v.Line, "  Zu\u0308rich ") == "Z\u00fcrich"
    assert taken(v.Text, "two\nlines\tand a tab") == "two\nlines\tand a tab"


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "a\nb", "a\u202eb", "a\u2066b", "\ud800", "", " ", "x" * 201])
def test_a_line_has_no_control_characters_and_is_neither_empty_nor_long(text: str) -> None:
    assert is_refused(v.Line, text)


def test_words_of_sql_are_words() -> None:
    assert taken(v.Line, "Robert'); DROP TABLE students;--") == "Robert'); DROP TABLE students;--"


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("+41 44 668 18 00", "+41446681800"),
        ("+1 (650) 253-0000", "+16502530000"),
        (" +33 1 42 68 53 00 ", "+33142685300"),
    ],
)
def test_a_phone_number_is_kept_as_e164(given: str, number: str) -> None:
    assert taken(v.Phone, given) == number


@pytest.mark.parametrize("given", ["044 668 18 00", "+41 44", "+999 1234567", "call me", ""])
def test_a_phone_number_needs_its_country_and_must_be_possible(given: str) -> None:
    assert is_refused(v.Phone, given)


def test_an_iban_is_kept_without_spaces() -> None:
    assert taken(v.Iban, "ch93 0076 2011 6238 5295 7") == "CH9300762011623852957"
    assert taken(v.Iban, "GB82-WEST-1234-5698-7654-32") == "GB82WEST12345698765432"


@pytest.mark.parametrize(
    "given", ["CH9300762011623852958", "GB82WEST1234569876543", "CH00", "XX", "93", "CH93 0076 2011 6238 5295 70"]
)
def test_an_iban_with_a_wrong_digit_or_length_is_refused(given: str) -> None:
    assert is_refused(v.Iban, given)


@pytest.mark.parametrize(
    "url", ["https://example.org/hook?x=1", "http://93.184.216.34:8080/", "https://xn--bcher-kva.example/"]
)
def test_a_public_web_address_is_taken_as_it_is(url: str) -> None:
    assert taken(v.WebUrl, url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://intranet/",
        "http://127.0.0.1/",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://printer.local/",
        "http://api.localhost./",
        "https://user:pass@example.org/",
        "ftp://example.org/",
        "javascript:alert(1)",
        "https://exa mple.org/",
        "https://example.org:99999/",
        "//example.org/",
        "",
    ],
)
def test_an_address_that_leads_inside_or_nowhere_is_refused(url: str) -> None:
    assert is_refused(v.WebUrl, url)


def test_an_address_that_we_call_may_lead_inside_where_the_operator_opened_that() -> None:
    assert taken(v.CalledUrl, " http://10.1.2.3:8080/hook ") == "http://10.1.2.3:8080/hook"
    for bad in (
        "ftp://example.org/",
        "https://user:pass@example.org/",
        "https://[::1/",
        "https://exa mple.org/",
        "https://",
    ):
        assert is_refused(v.CalledUrl, bad)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (v.Zone, ["Europe/Zurich", "UTC", "America/Argentina/Salta"], ["Mars/Olympus", "europe/zurich", "", "../UTC"]),
        (v.LanguageTag, ["en", "de-CH", "zh-Hant-TW", "gsw"], ["EN", "e", "en_US", "en-", "klingon", ""]),
        (v.Country, ["CH", "FR", "XK"], ["EU", "ZZ", "UK", "ch", "CHE", ""]),
        (v.Currency, ["EUR", "CHF", "DEM"], ["EURO", "eur", "QQQ", "E", ""]),
        (
            v.Email,
            ["Ada@example.com", "ada+news@example.org", "jos\u00e9@example.org"],
            ["ada", "ada@", "ada@clinic.local"],
        ),
    ],
)
def test_codes_and_names_of_the_world_are_those_that_exist(kind: Any, good: list[str], bad: list[str]) -> None:
    assert [one for one in good if is_refused(kind, one)] == []
    assert [one for one in bad if not is_refused(kind, one)] == []


@pytest.mark.parametrize("name", ["Rechnung 7.pdf", "été.tar.gz", ".profile"])
def test_a_plain_file_name_is_taken(name: str) -> None:
    assert taken(v.Filename, name) == name


@pytest.mark.parametrize(
    "name", ["../etc/passwd", "a/b", "a\\b", "..", ".", "", "nul.txt", "a:b", "x" * 256, "ü" * 200, "a\x00.pdf", "a."]
)
def test_a_file_name_with_a_path_or_a_trap_is_refused(name: str) -> None:
    assert is_refused(v.Filename, name)


def test_html_loses_what_runs_and_keeps_what_reads() -> None:
    given = '<p onclick="x()">Hello <b>you</b><script>alert(1)</script><a href="javascript:x()">link</a></p>'
    assert taken(v.Html, given) == '<p>Hello <b>you</b><a rel="noopener noreferrer">link</a></p>'


@pytest.mark.parametrize("address", ["a@b", "a b@example.org", "a@example", "@example.org", "x" * 260 + "@example.org"])
def test_an_impossible_e_mail_address_is_refused(address: str) -> None:
    assert is_refused(v.Email, address)


def test_an_input_refuses_fields_and_numbers_that_do_not_exist() -> None:
    class Order(Input):
        price: float

    assert Order.model_validate({"price": 1.5}).price == 1.5
    for bad in ({"price": 1.5, "cost": 1}, {"price": float("nan")}, {"price": float("inf")}):
        with pytest.raises(ValidationError):
            Order.model_validate(bad)


def test_an_output_has_no_defaults() -> None:
    with pytest.raises(TypeError, match=r"Answer\.note has a default"):

        class Answer(v.Output):
            id: int
            note: str | None = None


async def test_text_is_composed_wherever_it_comes_in(http: httpx.AsyncClient) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"

    made = await http.post("/v1/projects", json={"slug": "cafe", "name": apart})
    escaped = await http.post(
        "/v1/projects",
        content=b'{"slug": "escaped", "name": "cafe\\u0301"}',
        headers={"content-type": "application/json"},
    )
    key = await http.post("/v1/auth/keys", json={"name": composed})
    found = await http.get("/v1/auth/keys", params={"name": apart})
    path = await http.get(f"/v1/shop/orders/{apart}/1")

    assert (made.json()["name"], escaped.json()["name"]) == (composed, composed)
    assert [item["id"] for item in found.json()["items"]] == [key.json()["key"]["id"]]
    assert path.json()["name"] == composed


@pytest.mark.parametrize("letter", ["\x00", "\x1b", "\x7f", "\x85", "\u202e"])
async def test_text_that_is_not_what_it_seems_is_refused(http: httpx.AsyncClient, letter: str) -> None:
    answers = [
        await http.post("/v1/projects", json={"slug": "acme", "name": f"Ac{letter}me"}),
        await http.post("/v1/auth/keys", json={"name": f"Ac{letter}me"}),
    ]

    assert [answer.status_code for answer in answers] == [422, 422], [answer.text for answer in answers]
