"""Each fault does on the wire what its name says."""

import gzip
import http.client
import json
import time
import zlib
from typing import Any

import pytest

from tests.sim.caller import Answer, Caller

FORECAST = "/open_meteo/forecast?latitude=48.8566&longitude=2.3522&current=temperature_2m"
GPT = ("openai", "gpt-4o")
KEY = "authorization: Bearer sim-openai\r\n"


def _chat_body(**more: Any) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}], **more}).encode()


def test_too_many_requests_with_and_without_retry_after(sim: Caller) -> None:
    sim.order("429", "openai", ms=2500, count=1)
    told = sim.chat(*GPT)
    assert (told.status, told.headers["retry-after"]) == (429, "3")
    assert told.json()["error"]["code"] == "rate_limit_exceeded"
    sim.order("429_bare", "openai", count=1)
    untold = sim.chat(*GPT)
    assert untold.status == 429
    assert "retry-after" not in untold.headers


def test_a_fault_says_429_even_where_the_upstream_says_403_of_its_own_limit(sim: Caller) -> None:
    sim.order("429", "weatherapi")
    assert sim.get("/weatherapi/current.json?key=sim-weatherapi&q=Paris").status == 429


@pytest.mark.parametrize("status", ["500", "503", "529"])
def test_server_errors_come_with_the_words_of_the_upstream(sim: Caller, status: str) -> None:
    sim.order(status, "*")
    assert sim.get(FORECAST).status == int(status)
    assert sim.get(FORECAST).json()["error"] is True
    answer = sim.chat(*GPT)
    assert (answer.status, answer.json()["error"]["type"]) == (int(status), "server_error")


@pytest.mark.parametrize(
    ("path", "sign"),
    [
        (FORECAST, b'"error":true'),
        ("/weatherapi/current.json?key=sim-weatherapi&q=Paris", b'"code":9999'),
        ("/open_er_api/latest/EUR", b'"result":"error"'),
        ("/nominatim/search?q=Paris", b"<html>"),
        ("/opencage/json?q=Paris&key=sim-opencage", b'"code":503'),
        ("/currency_api/currencies/eur.json", b"<html>"),
        ("/ecb/stats/eurofxref/eurofxref-daily.xml", b"<html>"),
        ("/frankfurter/v1/latest", b'"message"'),
        ("/photon/api/?q=Paris", b'"message"'),
        ("/open_meteo_geocoding/search?name=Paris", b'"error":true'),
        ("/met_norway/locationforecast/2.0/compact?lat=1&lon=1", b"<html>"),
    ],
)
def test_an_error_hides_inside_a_200(sim: Caller, path: str, sign: bytes) -> None:
    sim.order("200_error", "*")
    answer = sim.get(path)
    assert answer.status == 200
    assert sign in answer.body


@pytest.mark.parametrize("provider", ["openai", "groq", "mistral", "openrouter", "ollama"])
def test_every_model_upstream_can_hide_an_error_inside_a_200(sim: Caller, provider: str) -> None:
    sim.order("200_error", provider)
    models = {"openai": "gpt-4o", "groq": "llama-3.1-8b-instant", "mistral": "codestral-latest", "ollama": "llama3.2"}
    answer = sim.chat(provider, models.get(provider, "openrouter/auto"))
    assert answer.status == 200
    assert "choices" not in answer.json()


def test_slow_waits_before_the_first_byte_and_then_answers_well(sim: Caller) -> None:
    sim.order("slow", "open_meteo", ms=150)
    begun = time.monotonic()
    assert sim.get(FORECAST).status == 200
    assert time.monotonic() - begun >= 0.15


def test_slow_can_space_the_events_of_a_stream(sim: Caller) -> None:
    sim.order("slow", "openai", gap_ms=10)
    begun = time.monotonic()
    events = sim.chat(*GPT, stream=True).events()
    assert time.monotonic() - begun >= 0.01 * (len(events) - 1)


def test_a_caller_who_leaves_a_slow_stream_is_noticed(sim: Caller) -> None:
    sim.order("slow", "openai", gap_ms=5)
    reads = sim.raw("/openai/chat/completions", body=_chat_body(stream=True), headers=KEY)
    assert next(reads)
    reads.close()
    for _ in range(100):
        if sim.get("/_sim/requests").json()["providers"]["openai"]["abandoned"]:
            break
        time.sleep(0.01)
    assert sim.get("/_sim/requests").json()["providers"]["openai"]["abandoned"] == 1


def test_reset_breaks_the_connection_before_any_byte(sim: Caller) -> None:
    sim.order("reset", "open_meteo")
    received = []
    with pytest.raises(ConnectionResetError):
        received.extend(sim.raw(FORECAST))
    assert received == []


def test_half_a_body_ends_where_more_was_promised(sim: Caller) -> None:
    whole = sim.get(FORECAST)
    sim.order("half_body", "open_meteo", count=2)
    head, _, body = b"".join(sim.raw(FORECAST)).partition(b"\r\n\r\n")
    assert f"content-length: {len(whole.body)}".encode() in head
    assert body == whole.body[: len(whole.body) // 2]
    with pytest.raises(http.client.IncompleteRead):
        sim.get(FORECAST)
    assert sim.get(FORECAST).status == 200


def test_half_of_a_stream_ends_without_the_end_of_its_chunks(sim: Caller) -> None:
    sim.order("half_body", "openai")
    received = b"".join(sim.raw("/openai/chat/completions", body=_chat_body(stream=True), headers=KEY))
    assert b"data: {" in received
    assert b"[DONE]" not in received
    assert not received.endswith(b"0\r\n\r\n")


def test_bad_json_is_whole_on_the_wire_and_broken_inside(sim: Caller) -> None:
    sim.order("bad_json", "open_meteo")
    answer = sim.get(FORECAST)
    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_bad_json_breaks_one_event_of_a_stream(sim: Caller) -> None:
    sim.order("bad_json", "openai")
    answer = sim.chat(*GPT, stream=True)
    with pytest.raises(json.JSONDecodeError):
        answer.events()
    assert answer.body.endswith(b"data: [DONE]\n\n")


VITAL = [
    ("open_meteo", FORECAST, ("current", "temperature_2m")),
    ("weatherapi", "/weatherapi/current.json?key=sim-weatherapi&q=Paris", ("current", "temp_c")),
    ("frankfurter", "/frankfurter/v1/latest", ("rates",)),
    ("photon", "/photon/api/?q=Paris", ("features", 0, "geometry")),
    ("nominatim", "/nominatim/search?q=Paris", (0, "lat")),
    ("opencage", "/opencage/json?q=Paris&key=sim-opencage", ("results", 0, "geometry")),
]


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@pytest.mark.parametrize(("provider", "path", "vital"), VITAL)
def test_a_missing_field_is_the_one_that_matters(
    sim: Caller, provider: str, path: str, vital: tuple[str | int, ...]
) -> None:
    sim.order("missing_field", provider)
    answer = sim.get(path).json()
    assert vital[-1] not in _at(answer, vital[:-1])


@pytest.mark.parametrize(("provider", "path", "vital"), VITAL)
def test_a_wrong_type_is_in_the_field_that_matters(
    sim: Caller, provider: str, path: str, vital: tuple[str | int, ...]
) -> None:
    good = _at(sim.get(path).json(), vital)
    sim.post("/_sim/clock", {"advance_s": 1})
    sim.order("wrong_type", provider)
    bad = _at(sim.get(path).json(), vital)
    assert type(bad) is list
    assert type(bad) is not type(good)


def test_the_field_to_spoil_can_be_named(sim: Caller) -> None:
    sim.order("missing_field", "open_meteo", field="current.time")
    answer = sim.get(FORECAST).json()
    assert "time" not in answer["current"]
    assert "temperature_2m" in answer["current"]


def test_the_xml_file_is_spoilt_too(sim: Caller) -> None:
    path = "/ecb/stats/eurofxref/eurofxref-daily.xml"
    sim.order("missing_field", "ecb", count=1)
    assert b"rate=" not in sim.get(path).body
    sim.order("wrong_type", "ecb", count=1)
    assert b"rate='n/a'" in sim.get(path).body


def test_a_stream_can_lack_its_deltas(sim: Caller) -> None:
    sim.order("missing_field", "openai")
    chunks = [event for event in sim.chat(*GPT, stream=True).events() if event != "[DONE]"]
    assert all("delta" not in chunk["choices"][0] for chunk in chunks)


def test_empty_is_a_200_with_nothing(sim: Caller) -> None:
    sim.order("empty", "*")
    answer = sim.get(FORECAST)
    assert (answer.status, answer.body) == (200, b"")
    stream = sim.chat(*GPT, stream=True)
    assert (stream.status, stream.headers["content-type"], stream.body) == (200, "text/event-stream", b"")


def test_a_gzip_bomb_is_small_on_the_wire_and_huge_inside(sim: Caller) -> None:
    sim.order("gzip_bomb", "open_meteo")
    answer = sim.get(FORECAST)
    assert answer.headers["content-encoding"] == "gzip"
    first = zlib.decompressobj(wbits=31).decompress(answer.body, 1 << 20)
    assert len(first) == 1 << 20
    assert len(gzip.decompress(answer.body)) / len(answer.body) > 500


def test_a_redirect_points_to_a_private_address(sim: Caller) -> None:
    sim.order("redirect_private", "open_meteo")
    answer = sim.get(FORECAST)
    assert answer.status == 302
    assert answer.headers["location"].startswith("http://169.254.169.254/")


def test_a_truncated_stream_ends_cleanly_without_finish_or_terminator(sim: Caller) -> None:
    sim.order("truncated_sse", "openai")
    received = b"".join(sim.raw("/openai/chat/completions", body=_chat_body(stream=True), headers=KEY))
    assert received.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in received
    assert b'"finish_reason":"stop"' not in received


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-4o"), ("openrouter", "openrouter/auto"), ("ollama", "llama3.2")]
)
def test_an_error_in_mid_stream_follows_good_events_and_ends_it(sim: Caller, provider: str, model: str) -> None:
    sim.order("error_mid_stream", provider)
    answer = sim.chat(provider, model, stream=True)
    *good, last = answer.events()
    assert answer.status == 200
    assert good[-1]["choices"]
    assert last["error"]["message"]


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("groq", "llama-3.1-8b-instant"),
        ("mistral", "codestral-latest"),
        ("openrouter", "openrouter/auto"),
    ],
)
def test_no_usage_leaves_the_text_and_takes_the_count(sim: Caller, provider: str, model: str) -> None:
    options = {} if provider == "mistral" else {"stream_options": {"include_usage": True}}
    good = sim.chat(provider, model, stream=True, **options)
    sim.order("no_usage", provider)
    assert "usage" not in sim.chat(provider, model).json()
    stream = sim.chat(provider, model, stream=True, **options)
    assert b"total_tokens" in good.body
    assert b"total_tokens" not in stream.body

    def text(answer: Answer) -> str:
        chunks = [event for event in answer.events() if event != "[DONE]"]
        return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])

    assert text(stream) == text(good)
    assert stream.events()[-1] == "[DONE]"


def _bodies(reads: list[bytes]) -> list[bytes]:
    """Return what each read of the socket gave without the frame of a chunk."""
    return [read.partition(b"\r\n")[2] if read[:1].isalnum() and b"\r\n" in read[:8] else read for read in reads]


@pytest.mark.parametrize("stream", [False, True])
def test_a_character_is_split_between_two_reads(sim: Caller, stream: bool) -> None:
    sim.order("utf8_split", "openai")
    reads = list(sim.raw("/openai/chat/completions", body=_chat_body(stream=stream), headers=KEY))
    assert any(0x80 <= body[0] <= 0xBF for body in _bodies(reads[1:]) if body)
    content = sim.chat(*GPT, stream=stream)
    assert "déjà" in content.body.decode()


def test_a_limit_is_one_lower_than_stated(sim: Caller) -> None:
    sim.post("/_sim/limits", {"opencage": ["3/minute"]})
    sim.order("off_by_one_limit", "opencage")
    path = "/opencage/json?q=Paris&key=sim-opencage"
    assert [sim.get(path).status for _ in range(3)] == [200, 200, 429]


def test_a_skewed_clock_shows_in_headers_and_data(sim: Caller) -> None:
    sim.order("clock_skew", "open_meteo", ms=-3_600_000)
    answer = sim.get(FORECAST)
    assert answer.headers["date"] == "Mon, 15 Jun 2026 11:00:00 GMT"
    assert answer.json()["current"]["time"] == "2026-06-15T11:00"


def test_ids_repeat(sim: Caller) -> None:
    sim.order("dup_ids", "*")
    places = sim.get("/open_meteo_geocoding/search?name=B").json()["results"]
    assert len(places) > 1
    assert len({place["id"] for place in places}) == 1
    assert sim.chat(*GPT).json()["id"] == sim.chat(*GPT).json()["id"]
    tools = [{"type": "function", "function": {"name": name}} for name in ("first_tool", "second_tool")]
    calls = sim.chat(*GPT, "first_tool and second_tool", tools=tools).json()["choices"][0]["message"]["tool_calls"]
    assert [call["id"] for call in calls] == ["call_duplicate"] * 2


def test_a_count_is_used_up(sim: Caller) -> None:
    sim.order("503", "open_meteo", count=2)
    assert [sim.get(FORECAST).status for _ in range(4)] == [503, 503, 200, 200]


def test_an_operation_can_be_singled_out(sim: Caller) -> None:
    sim.order("503", "open_meteo", operation="weather.forecast")
    assert sim.get(FORECAST).status == 200
    assert sim.get("/open_meteo/forecast?latitude=1&longitude=1&daily=weather_code").status == 503


def test_a_probability_strikes_the_same_requests_again_after_a_reset(sim: Caller) -> None:
    def run() -> list[int]:
        sim.post("/_sim/reset")
        sim.order("503", "open_meteo", probability=0.3)
        return [sim.get(FORECAST).status for _ in range(60)]

    first = run()
    assert 5 <= first.count(503) <= 35
    assert run() == first


def test_a_refusal_does_not_use_up_a_fault_that_spoils_good_answers(sim: Caller) -> None:
    sim.order("missing_field", "open_meteo", count=1)
    assert sim.get("/open_meteo/forecast?latitude=91&longitude=0").status == 400
    assert "temperature_2m" not in sim.get(FORECAST).json()["current"]


def test_slowness_and_another_fault_go_together(sim: Caller) -> None:
    sim.order("slow", "open_meteo", ms=100)
    sim.order("503", "open_meteo")
    begun = time.monotonic()
    assert sim.get(FORECAST).status == 503
    assert time.monotonic() - begun >= 0.1


@pytest.mark.parametrize(
    "order",
    [
        {"provider": "nobody", "fault": "500"},
        {"provider": "openai", "fault": "fire"},
        {"provider": "openai"},
        {"provider": "openai", "fault": "500", "probability": 2},
        {"provider": "openai", "fault": "500", "count": -1},
        {"provider": "openai", "fault": "500", "often": True},
        {"provider": "openai", "fault": ["500"]},
        "500",
    ],
)
def test_what_is_no_fault_is_refused_with_a_reason(sim: Caller, order: object) -> None:
    answer = sim.post("/_sim/faults", order)
    assert answer.status == 422
    assert answer.json()["error"]
    assert sim.get("/_sim/faults").json() == {"items": []}
