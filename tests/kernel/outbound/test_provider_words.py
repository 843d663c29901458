"""The vocabulary of provider files, and the small conversions of their decoders."""

from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import urlencode

import pytest

from ossature.kernel.outbound import decode
from ossature.kernel.outbound.credentials import Credential
from ossature.kernel.outbound.judging import max_age_s
from ossature.kernel.outbound.manifest import json_schema
from ossature.kernel.outbound.placing import Surroundings, place, redacted
from ossature.kernel.outbound.provider import Account, Auth, Call, Codec, ErrorKind, Manifest, Refusal, Reply


def test_a_call_has_one_body() -> None:
    with pytest.raises(ValueError, match="one body"):
        Call("POST", "/", json={}, form={})


@pytest.mark.parametrize(
    ("call", "may_repeat"),
    [
        (Call("GET", "/"), True),
        (Call("POST", "/"), False),
        (Call("POST", "/", read_only=True), True),
        (Call("POST", "/", idempotent=True), True),
        (Call("PUT", "/", idempotent=False), False),
    ],
)
def test_only_what_is_harmless_twice_may_be_repeated(call: Call, may_repeat: bool) -> None:
    assert call.may_repeat is may_repeat


def test_a_missing_value_of_an_account_is_a_refusal_that_names_it() -> None:
    with pytest.raises(Refusal, match="domain") as refused:
        Account()["domain"]
    assert refused.value.kind is ErrorKind.AUTH


def test_the_secrets_of_a_credential_are_read_from_its_templates() -> None:
    assert Auth.basic("api").fields == ("key",)
    assert Auth.oauth_cc("https://accounts.example/token").fields == ("client_id", "client_secret")
    assert Auth.query("apikey", demo="DEMO_KEY").demo == {"key": "DEMO_KEY"}


def test_a_manifest_needs_an_address_and_a_plain_id() -> None:
    with pytest.raises(ValueError, match="base_url"):
        Manifest(id="weather", title="Weather")
    with pytest.raises(ValueError, match="lower-case"):
        Manifest(id="Weather!", title="Weather", base_url="https://api.example")


def test_the_hosts_of_a_provider_are_its_base_its_token_and_what_it_declares() -> None:
    manifest = Manifest(
        id="music",
        title="Music",
        base_url="https://api.example/v1",
        hosts=("CDN.example",),
        auth=Auth.oauth_cc("https://accounts.example/token"),
    )
    assert manifest.allowed_hosts == {"api.example", "cdn.example", "accounts.example"}


def test_the_schema_of_a_manifest_names_its_fields() -> None:
    assert {"id", "base_url", "limits", "terms"} <= json_schema()["properties"].keys()


def test_a_codec_has_exactly_one_form() -> None:
    with pytest.raises(ValueError, match="one form"):
        Codec()
    with pytest.raises(ValueError, match="decodes"):
        Codec(lambda _query, _account: Call("GET", "/"))


def test_a_reply_reads_its_charset_and_keeps_decimals_when_asked() -> None:
    reply = Reply(200, {"content-type": "text/plain; charset=latin-1"}, "é".encode("latin-1"))
    assert reply.text() == "é"
    assert Reply(200, {}, b'{"a": 0.10}').json(exact=True) == {"a": Decimal("0.10")}


@pytest.mark.parametrize("unknown", [None, "", "N/A", "null", "-", " "])
def test_what_an_upstream_does_not_know_is_none(unknown: object) -> None:
    assert decode.number(unknown) is None
    assert decode.percent(unknown) is None
    assert decode.text(unknown) is None
    assert decode.utc(unknown) is None
    assert decode.epoch(unknown) is None
    assert decode.day(unknown) is None


@pytest.mark.parametrize(("written", "meant"), [("1,234.5", 1234.5), (3, 3.0), ("-7e2", -700.0), (0, 0.0)])
def test_numbers_are_read_however_they_are_written(written: object, meant: float) -> None:
    assert decode.number(written) == meant


@pytest.mark.parametrize("written", ["abc", "1,5", "inf", "1 000"])
def test_a_number_that_is_not_understood_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        decode.number(written)


def test_true_is_no_number_and_a_list_no_text() -> None:
    with pytest.raises(TypeError):
        decode.number(True)
    with pytest.raises(TypeError):
        decode.text([])


def test_percents_become_fractions() -> None:
    assert decode.percent("12.5%") == 0.125
    assert decode.percent(78) == 0.78


def test_instants_become_aware_utc() -> None:
    noon = datetime(2026, 9, 15, 12, tzinfo=UTC)
    assert decode.utc("2026-09-15T14:00:00+02:00") == noon
    assert decode.utc("2026-09-15T16:00", offset_s=14_400) == noon
    assert decode.utc("2026-09-15T14:00", zone="Europe/Zurich") == noon
    assert decode.utc("20260915T120000Z") == noon
    assert decode.epoch(noon.timestamp()) == noon
    assert decode.epoch(noon.timestamp() * 1000, unit="ms") == noon
    assert decode.day("2026-09-15T23:00:00Z") == date(2026, 9, 15)


@pytest.mark.parametrize(
    ("written", "seconds"), [("2m59.56s", 179.56), ("7.66s", 7.66), ("120ms", 0.12), ("1h", 3600), ("5", 5)]
)
def test_durations_are_read_as_seconds(written: str, seconds: float) -> None:
    assert decode.duration_s(written) == pytest.approx(seconds)


def test_html_becomes_plain_text() -> None:
    assert decode.plain("<p>Tom &amp; <b>Jerry</b></p><p>two<script>x</script></p>") == "Tom & Jerry two"


def test_xml_that_declares_entities_is_not_read() -> None:
    with pytest.raises(ValueError, match="DOCTYPE"):
        decode.xml(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    assert decode.xml(b"<a><b>1</b></a>").findtext("b") == "1"


def test_xml_cannot_hide_its_entities_in_another_encoding() -> None:
    bomb = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY b "cc">]><a>&b;</a>'
    with pytest.raises(ValueError, match="DOCTYPE"):
        decode.xml(bomb.encode("utf-16"))
    assert decode.xml("<a>\u00e4</a>".encode("utf-16")).text == "\u00e4"


@pytest.mark.parametrize("written", ["1e400", "1e1000000", "-9e999999", "1e-999999"])
def test_a_number_beyond_all_measure_is_refused_before_it_is_written_out(written: str) -> None:
    for read in (decode.number, decode.integer, decode.decimal, decode.money, decode.percent):
        with pytest.raises(ValueError, match="measure"):
            read(written)
    assert decode.decimal("0e1000000") == 0


def test_a_secret_is_hidden_in_every_form_in_which_it_is_sent() -> None:
    credential = Credential("one", {"key": "a:b/c,d+e f"})
    for auth in (Auth.path(), Auth.query("key")):
        base = "https://api.example.org/{key}" if auth.kind == "path" else "https://api.example.org"
        manifest = Manifest(id="acme", title="Acme", base_url=base, auth=auth)
        request = place(Call("GET", "/now"), manifest, credential, Surroundings())
        assert redacted(request.url, credential).count("***") == 1
    assert redacted(urlencode({"key": "a:b/c,d+e f"}), credential) == "key=***"


@pytest.mark.parametrize(("said", "age_s"), [("max-age=60", 60.0), ("max-age=\u00b2", None), ("max-age=-1", None)])
def test_how_long_an_answer_is_good_is_a_number_or_nothing(said: str, age_s: float | None) -> None:
    assert max_age_s(Reply(200, {"cache-control": said}), now=datetime(2026, 3, 1, tzinfo=UTC)) == age_s


def test_units_of_weather_are_converted() -> None:
    assert decode.celsius(212, unit="F") == 100
    assert decode.metres_per_second(36, unit="km/h") == 10
    assert decode.compass("NNE") == 22.5


def test_a_path_segment_from_outside_cannot_leave_its_place() -> None:
    assert decode.quoted("a/../b?c") == "a%2F..%2Fb%3Fc"
    with pytest.raises(ValueError, match="segment"):
        decode.quoted("..")
