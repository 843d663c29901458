"""Settings of keys, passwords, sessions and tokens."""

import ipaddress
from collections.abc import Iterator

from pydantic import Field, SecretStr

from ossature.kernel.config import Config, Finding, Settings

_TOKEN_LENGTH = 32


class AuthSettings(Settings, room="auth"):
    """How callers prove who they are, and for how long that holds."""

    ip_allow: tuple[str, ...] = Field(
        default=(), description="Address blocks (CIDR) that may ask at all; empty lets every address in."
    )
    ip_deny: tuple[str, ...] = Field(default=(), description="Address blocks (CIDR) that are refused everything.")
    ip_places: dict[str, tuple[str, ...]] = Field(
        default={},
        description="Paths that may be asked for, with everything below them, from some address blocks (CIDR) only: "
        '`{"/v1/tenants": ["10.0.0.0/8"]}`.',
    )
    country_file: str = Field(
        default="", description="File in the format of MaxMind (MMDB) with the country of addresses; empty for none."
    )
    country_allow: tuple[str, ...] = Field(
        default=(), description="Countries (ISO 3166, `CH`) that may ask at all; empty lets every country in."
    )
    country_deny: tuple[str, ...] = Field(default=(), description="Countries that are refused everything.")
    abuse_failures: int = Field(
        default=300,
        ge=0,
        description="Refused credentials, rate limits hit and unknown paths after which an address is refused everything "
        "for a while, over all processes together; 0 refuses nobody by itself.",
    )
    abuse_window_s: float = Field(default=600.0, ge=1, description="Within how long these failures count together.")
    abuse_deny_s: float = Field(default=900.0, ge=1, description="How long such an address is refused.")
    abuse_exempt: tuple[str, ...] = Field(
        default=("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"),
        description="Address blocks (CIDR) that are never refused by themselves: behind a proxy that is not listed as "
        "trusted everybody has its address.",
    )
    bad_credentials_per_minute: int = Field(
        default=120,
        ge=0,
        description="Unknown credentials of one address that a process looks up in a minute, before it answers 429 without "
        "asking the database; 0 looks all of them up.",
    )
    cache_s: float = Field(
        default=30.0,
        ge=0,
        le=300,
        description="How long a process trusts what it read of a credential; 0 asks each time.",
    )
    cache_entries: int = Field(default=10_000, ge=10, description="How many credentials a process remembers.")
    last_used_flush_s: float = Field(default=30.0, gt=0, description="How often `last used` of keys is written.")
    key_overlap_s: float = Field(
        default=86_400.0, ge=0, description="How long the old secret of a rotated key stays valid."
    )
    access_token_s: float = Field(default=600.0, ge=30, le=3600, description="Life of an access token.")
    refresh_token_s: float = Field(default=14 * 86_400.0, ge=300, description="Life of an unused refresh token.")
    session_s: float = Field(default=12 * 3600.0, ge=300, description="Life of a console session.")
    session_idle_s: float = Field(
        default=3600.0, ge=60, description="A console session ends after so long without use."
    )
    signing_key_days: int = Field(
        default=30, ge=1, le=365, description="Age at which the token signing key is replaced."
    )
    password_length_min: int = Field(default=12, ge=8, le=128, description="Shortest password.")
    signature_age_s: float = Field(
        default=300.0, ge=1, le=3600, description="How long ago the signature of a request may have been made."
    )
    signature_skew_s: float = Field(
        default=30.0, ge=0, le=300, description="How far the clock of whoever signs a request may be ahead of ours."
    )
    lock_after: int = Field(default=5, ge=2, description="Failed sign-ins for one account and address before a pause.")
    lock_s: float = Field(default=60.0, gt=0, description="First pause; it doubles with every further failure.")
    lock_most_s: float = Field(default=3600.0, gt=0, description="Longest pause.")
    invitation_s: float = Field(
        default=7 * 86_400.0, ge=300, description="How long the link in an invitation to own a tenant is good."
    )
    reset_s: float = Field(
        default=3600.0, ge=300, le=86_400, description="How long the link to choose another password is good."
    )
    verification_s: float = Field(
        default=2 * 86_400.0, ge=300, description="How long the link that confirms an e-mail address is good."
    )
    link_pause_s: float = Field(
        default=60.0, ge=0, le=3600, description="After a mail with such a link none is written to the same user."
    )
    verified_email_only: bool = Field(
        default=False, description="Only users whose e-mail address was confirmed may sign in with a password."
    )
    totp_issuer: str = Field(
        default="ossature", min_length=1, max_length=60, description="What authenticator apps call this house."
    )
    metrics_token: SecretStr = Field(
        default=SecretStr(""),
        description="Bearer token with which Prometheus reads /metrics, also while the database is away. Empty: only "
        "API keys with the permission `read:metrics` can.",
    )
    hash_threads: int = Field(default=2, ge=1, le=16, description="Passwords checked at once; each takes 64 MiB.")

    def findings(self, config: Config) -> Iterator[Finding]:
        """Address blocks that are none, and a token that can be guessed."""
        del config
        token = self.metrics_token.get_secret_value()
        if token and len(token) < _TOKEN_LENGTH:
            yield Finding(
                self.variable("metrics_token"),
                "is short",
                f"Use {_TOKEN_LENGTH} random characters or more: python -c 'import secrets; print(secrets.token_urlsafe())'",
            )
        if (self.country_allow or self.country_deny) and not self.country_file:
            fix = "Name the file, or leave the rules by country out."
            yield Finding(self.variable("country_file"), "is not set, so no country is known", fix)
        lists = {name: getattr(self, name) for name in ("ip_allow", "ip_deny", "abuse_exempt")}
        for field, blocks in (*lists.items(), *(("ip_places", blocks) for blocks in self.ip_places.values())):
            for block in blocks:
                try:
                    ipaddress.ip_network(block, strict=False)
                except ValueError:
                    yield Finding(
                        self.variable(field), f"{block!r} is no address block", "Write 203.0.113.0/24 or 2001:db8::/32."
                    )
