"""Settings of the hub."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from ossature.kernel.config import Settings


class HubSettings(Settings, room="hub"):
    """How the outside world is asked, and on whose account."""

    open_fields: ClassVar[Mapping[str, str]] = {"keys": "KEY_"}

    contact: str = Field(
        default="", description="E-mail or URL that upstreams may write to; sources that demand one need it."
    )
    sim_url: str = Field(default="", description="Ask the simulator here instead of every upstream.")
    keys: dict[str, SecretStr] = Field(
        default_factory=dict, description="Platform credentials: OSSATURE_HUB_KEY_<PROVIDER>[_<FIELD>]."
    )
    aliases: dict[str, list[str]] = Field(
        default_factory=dict,
        description='Model names of the house -> ordered list of provider/model, as JSON: {"fast": ["groq/..."]}.',
    )
    default_policy: Literal["free_first", "fast", "cheap", "quality"] = Field(
        default="free_first", description="How candidates are ordered when the request does not say."
    )
    total_time_limit_s: float = Field(default=20.0, gt=0, le=300, description="All attempts of one request together.")
    chat_time_limit_s: float = Field(
        default=600.0, gt=0, le=3600, description="One chat answer, from first to last byte."
    )
    stream_idle_limit_s: float = Field(default=60.0, gt=0, le=600, description="Longest silence in a stream.")
    private_hosts: list[str] = Field(
        default_factory=lambda: ["localhost"], description="Hosts in private networks that may be asked (Ollama)."
    )
    max_body_bytes: int = Field(default=20_000_000, gt=0, description="Largest request body of the AI surface.")
