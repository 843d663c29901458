"""What the simulated model says: no knowledge, only rules, so that the same question always gets the same answer.

Tools are called when `tool_choice` demands it or the user's last message names one (its name, or a telling word
of it); "in 3 rounds" makes it call again until it has called three times. After that it reports what they returned.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from ossature.sim.ai.question import Question, content_of, tokens
from ossature.sim.ai.schema import Instances
from ossature.sim.world.cities import plain

_WORDS = re.compile(r"[a-z0-9]+")
_ROUNDS = re.compile(r"\bin (\d+) rounds\b")
_DULL_WORDS = frozenset(
    {"call", "current", "data", "find", "function", "latest", "list", "search", "this", "tool", "with"}
)
_TELLING_LETTERS = 4
_QUOTED_LETTERS = 200
_MAX_CALLS = 4


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool; arguments as JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Thought:
    """What the model says: a text, or calls."""

    text: str
    calls: tuple[ToolCall, ...]
    finish_reason: str
    completion_tokens: int


def think(question: Question, *, provider_id: str) -> Thought:
    """Return the answer to the question."""
    calls = _calls(question)
    if calls:
        return Thought("", calls, "tool_calls", sum(8 + tokens(call.arguments) for call in calls))
    text = _text(question, provider_id)
    stop = question.fields.get("stop")
    for mark in [stop] if isinstance(stop, str) else stop or ():
        text = text.partition(mark)[0] if mark else text
    most = question.max_tokens
    count = tokens(text)
    if most is None or count <= most:
        return Thought(text, (), "stop", count)
    return Thought(text.encode()[: most * 4].decode(errors="ignore"), (), "length", most)


def _text(question: Question, provider_id: str) -> str:
    form = question.fields.get("response_format")
    match form:
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return orjson.dumps(Instances(schema, question.text).make()).decode()
        case {"type": "json_object"}:
            return orjson.dumps({"answer": question.text[:_QUOTED_LETTERS]}).decode()
    results = _tool_results(question)
    if results:
        said = " ".join(f"[{index}] {text[:_QUOTED_LETTERS]}" for index, text in enumerate(results, start=1))
        return f"The tools returned: {said}"
    seen = f" I see {question.images} image(s)." if question.images else ""
    return _chat(question.text[:_QUOTED_LETTERS], f"{provider_id}/{question.model}") + seen


@lru_cache(maxsize=1024)
def _chat(text: str, speaker: str) -> str:
    return (
        f"This is {speaker}, simulated. You said: “{text}”. "
        "I am a fixture: déjà vu guaranteed, naïve by design, at home in 東京 and Zürich alike 🙂, "
        "so the same question always gets this same answer."
    )


def _tool_results(question: Question) -> list[str]:
    """Return what the tools said since the user spoke last."""
    results: list[str] = []
    for message in question.messages:
        if message["role"] == "user":
            results = []
        elif message["role"] == "tool":
            results.append(content_of(message)[0])
    return results


def _rounds_done(question: Question) -> int:
    """Return how often tools were called since the user spoke last."""
    done = 0
    for message in question.messages:
        if message["role"] == "user":
            done = 0
        elif message["role"] == "assistant" and message.get("tool_calls"):
            done += 1
    return done


def _calls(question: Question) -> tuple[ToolCall, ...]:
    tools = [tool["function"] for tool in question.fields.get("tools") or ()]
    choice = question.fields.get("tool_choice", "auto")
    if not tools or choice == "none":
        return ()
    rounds = _ROUNDS.search(question.text)
    if _rounds_done(question) >= (int(rounds[1]) if rounds else 1):
        return ()
    chosen = _chosen(tools, choice, text=question.text)
    if question.fields.get("parallel_tool_calls") is False:
        chosen = chosen[:1]
    return tuple(
        ToolCall(
            tool["name"],
            orjson.dumps(Instances(tool.get("parameters") or {"type": "object"}, question.text).make()).decode(),
        )
        for tool in chosen[:_MAX_CALLS]
    )


def _chosen(tools: list[dict[str, Any]], choice: object, *, text: str) -> list[dict[str, Any]]:
    match choice:
        case {"function": {"name": str(name)}}:
            return [tool for tool in tools if tool["name"] == name]
    lowered = plain(text)
    named = [tool for tool in tools if tool["name"].lower() in lowered]
    if named:
        return named
    said = set(_WORDS.findall(lowered))
    hinted = [tool for tool in tools if _telling(tool["name"]) & said]
    return hinted or (tools[:1] if choice == "required" else [])


def _telling(name: str) -> set[str]:
    words = {word for word in _WORDS.findall(name.lower().replace("_", " ")) if len(word) >= _TELLING_LETTERS}
    return words - _DULL_WORDS
