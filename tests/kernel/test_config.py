from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field, SecretStr

from ossature.kernel.config import (
    Config,
    Finding,
    MainSettings,
    Settings,
    SettingsRefused,
    Severity,
    environment_of_child,
)
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.guests import everybody, settings_of
from ossature.kernel.http.settings import HttpSettings
from ossature.kernel.observe.settings import ObserveSettings

CANARY = "canary-0f9e8d7c6b5a4321-PQRSTUVWXYZ"


class ShopSettings(Settings, room="shop"):
    open_fields: ClassVar[Mapping[str, str]] = {"keys": "KEY_"}
    well_known: ClassVar[Mapping[str, str]] = {"endpoint": "SHOP_ENDPOINT"}

    lease_s: float = Field(default=30.0, gt=0, description="How long.")
    hosts: list[str] = Field(default=[], description="Which ones.")
    password: SecretStr = Field(default=SecretStr(""), description="A secret.")
    keys: dict[str, SecretStr] = Field(default_factory=dict, description="By name.")
    url: str = Field(default="", description="Where.")
    endpoint: str = Field(default="", description="Where to send.")

    def findings(self, config: Config) -> Iterator[Finding]:
        if self.lease_s > 1000 and config.main.profile == "production":
            yield Finding(self.variable("lease_s"), "is too long", "Make it shorter.")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory: no `.env`, no `ossature.toml`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(**environ: str) -> ShopSettings:
    return Config.load([ShopSettings], environ)[ShopSettings]


def test_the_name_of_a_variable_follows_from_room_and_field() -> None:
    assert ShopSettings.variable("lease_s") == "OSSATURE_SHOP_LEASE_S"
    assert MainSettings.variable("profile") == "OSSATURE_PROFILE"


def test_the_strongest_source_wins(elsewhere: Path) -> None:
    secrets = elsewhere / "secrets"
    secrets.mkdir()
    (secrets / "shop_lease_s").write_text("5\n")
    here = {"OSSATURE_SECRETS_DIR": str(secrets)}
    seen = [load().lease_s, load(**here).lease_s]
    (elsewhere / "ossature.toml").write_text("[shop]\nlease_s = 4.0\n")
    seen.append(load(**here).lease_s)
    (elsewhere / ".env").write_text("OSSATURE_SHOP_LEASE_S=3\n")
    seen.append(load(**here).lease_s)
    seen.append(load(**here, OSSATURE_SHOP_LEASE_S="2").lease_s)

    assert seen == [30.0, 5.0, 4.0, 3.0, 2.0]


def test_a_list_is_written_with_commas_and_names_are_gathered_by_prefix() -> None:
    shop = load(OSSATURE_SHOP_HOSTS="a, b,,c", OSSATURE_SHOP_KEY_GROQ="k1", OSSATURE_SHOP_KEY_MISTRAL="k2")

    assert shop.hosts == ["a", "b", "c"]
    assert {name: key.get_secret_value() for name, key in shop.keys.items()} == {"groq": "k1", "mistral": "k2"}


def test_a_name_that_others_have_fixed_is_read_and_ours_wins() -> None:
    assert load(SHOP_ENDPOINT="http://a").endpoint == "http://a"
    assert load(SHOP_ENDPOINT="http://a", OSSATURE_SHOP_ENDPOINT="http://b").endpoint == "http://b"
    config = Config.load([ObserveSettings], {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318"})
    assert config[ObserveSettings].otlp_endpoint == "http://otel:4318"
    assert "environment (OTEL_EXPORTER_OTLP_ENDPOINT)" in {value.source for value in config.values()}


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsRefused) as refused:
        Config.load(
            [ShopSettings], {"OSSATURE_SHOP_LEASE_S": "-1", "OSSATURE_WORKERS": "none", "OSSATURE_PROFILE": "prod"}
        )

    text = str(refused.value)
    assert [finding.setting for finding in refused.value.findings] == [
        "OSSATURE_PROFILE",
        "OSSATURE_WORKERS",
        "OSSATURE_SHOP_LEASE_S",
    ]
    assert "3 settings need attention" in text
    assert "given: '-1'" in text
    assert "How long." in text


def test_a_typing_error_in_a_name_is_pointed_out() -> None:
    _, [finding] = Config.examine([ShopSettings], {"OSSATURE_SHOP_LEASES": "1"})

    assert (finding.severity, finding.setting, finding.fix) == (
        Severity.WARNING, "OSSATURE_SHOP_LEASES", "Did you mean OSSATURE_SHOP_LEASE_S?",
    )  # fmt: skip


GOOD = {
    "OSSATURE_CRYPTO_RING_FILE": "/srv/shared/keyring.json",
    "OSSATURE_PROFILE": "production",
    "OSSATURE_SECRET_KEY": "q8Zr2mVx0LkTw4JdYb7NcEsG1hPuA9Fo",
    "OSSATURE_PUBLIC_URL": "https://api.example.org",
    "OSSATURE_DATABASE_URL": "postgresql+asyncpg://house@db/house",
    "OSSATURE_REDIS_URL": "redis://cache:6379/0",
}
DEVELOPMENT = {"OSSATURE_PROFILE": "development"}
RULES: list[tuple[str, dict[str, str], str, Severity]] = [
    ("a short secret key", {**DEVELOPMENT, "OSSATURE_SECRET_KEY": "short"}, "OSSATURE_SECRET_KEY", Severity.ERROR),
    ("a regular secret key", {**DEVELOPMENT, "OSSATURE_SECRET_KEY": "ab" * 20}, "OSSATURE_SECRET_KEY", Severity.ERROR),
    ("no secret key", {**GOOD, "OSSATURE_SECRET_KEY": ""}, "OSSATURE_SECRET_KEY", Severity.ERROR),
    ("debug", {**GOOD, "OSSATURE_DEBUG": "true"}, "OSSATURE_DEBUG", Severity.ERROR),
    ("the default public URL", {**GOOD, "OSSATURE_PUBLIC_URL": "http://127.0.0.1:8000"}, "OSSATURE_PUBLIC_URL", Severity.WARNING),
    ("a plain http public URL", {**GOOD, "OSSATURE_PUBLIC_URL": "http://api.example.org"}, "OSSATURE_PUBLIC_URL", Severity.ERROR),
    ("SQLite on several hosts", {**GOOD, "OSSATURE_HOSTS": "2", "OSSATURE_DATABASE_URL": ""}, "OSSATURE_DATABASE_URL", Severity.ERROR),
    ("no Redis on several hosts", {**GOOD, "OSSATURE_HOSTS": "2", "OSSATURE_REDIS_URL": ""}, "OSSATURE_REDIS_URL", Severity.ERROR),
    ("a key ring on each host", {**GOOD, "OSSATURE_HOSTS": "2", "OSSATURE_CRYPTO_RING_FILE": ""}, "OSSATURE_CRYPTO_KEYS", Severity.ERROR),
    ("a key ring that is none", {**GOOD, "OSSATURE_CRYPTO_KEYS": "s3cret"}, "OSSATURE_CRYPTO_KEYS", Severity.ERROR),
    ("wildcard CORS", {**GOOD, "OSSATURE_HTTP_CORS_ORIGINS": "*"}, "OSSATURE_HTTP_CORS_ORIGINS", Severity.ERROR),
    ("CORS for whoever hides", {**DEVELOPMENT, "OSSATURE_HTTP_CORS_ORIGINS": "null"}, "OSSATURE_HTTP_CORS_ORIGINS", Severity.ERROR),
    ("CORS for a page", {**DEVELOPMENT, "OSSATURE_HTTP_CORS_ORIGINS": "https://app.example.org/page"}, "OSSATURE_HTTP_CORS_ORIGINS", Severity.ERROR),
    ("a purge without a key", {**DEVELOPMENT, "OSSATURE_HTTP_CDN_PURGE_URL": "https://cdn.example/purge"}, "OSSATURE_HTTP_CDN_PURGE_URL", Severity.ERROR),
    ("a header without a name", {**DEVELOPMENT, "OSSATURE_HTTP_CDN_PURGE_HEADER": "s3cret"}, "OSSATURE_HTTP_CDN_PURGE_HEADER", Severity.ERROR),
    ("wildcard CORS at home", {**DEVELOPMENT, "OSSATURE_HTTP_CORS_ORIGINS": "*"}, "OSSATURE_HTTP_CORS_ORIGINS", Severity.WARNING),
    ("every proxy trusted", {**GOOD, "OSSATURE_HTTP_TRUSTED_PROXIES": "0.0.0.0/0"}, "OSSATURE_HTTP_TRUSTED_PROXIES", Severity.ERROR),
]  # fmt: skip


def groups() -> tuple[type[Settings], ...]:
    return tuple(dict.fromkeys((*settings_of(everybody(())), HttpSettings, DatabaseSettings)))


@pytest.mark.parametrize(
    ("environ", "setting", "severity"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES]
)
def test_a_rule_of_the_settings(environ: dict[str, str], setting: str, severity: Severity) -> None:
    _, findings = Config.examine(groups(), environ)

    assert [(one.setting, one.severity) for one in findings] == [(setting, severity)]
    assert findings[0].wrong
    assert findings[0].fix


@pytest.mark.parametrize(
    "environ", [{}, GOOD, {**GOOD, "OSSATURE_HOSTS": "3"}], ids=["nothing set", "production", "three hosts"]
)
def test_good_settings_are_not_complained_about(environ: dict[str, str]) -> None:
    assert Config.examine(groups(), environ)[1] == []


def test_a_rule_may_look_at_other_groups() -> None:
    with pytest.raises(SettingsRefused, match="is too long"):
        Config.load([ShopSettings], {**GOOD, "OSSATURE_SHOP_LEASE_S": "2000"})
    assert load(OSSATURE_SHOP_LEASE_S="2000").lease_s == 2000


SECRETS: dict[str, Callable[[str], dict[str, str]]] = {
    "a secret field": lambda canary: {"OSSATURE_SHOP_PASSWORD": canary},
    "a gathered secret": lambda canary: {"OSSATURE_SHOP_KEY_GROQ": canary},
    "a password in a URL": lambda canary: {"OSSATURE_SHOP_URL": f"postgresql://me:{canary}@db/x"},
    "the secret key": lambda canary: {"OSSATURE_SECRET_KEY": canary},
}


@pytest.mark.parametrize("where", SECRETS)
def test_a_secret_is_never_shown_and_the_logs_know_it(where: str) -> None:
    config = Config.load([ShopSettings], SECRETS[where](CANARY))

    assert CANARY not in str(list(config.values()))
    assert CANARY not in repr([config[ShopSettings], config.main]) or where == "a password in a URL"
    assert CANARY in list(config.secrets())


@pytest.mark.parametrize("value", [{"OSSATURE_SHOP_PASSWORD": CANARY, "OSSATURE_SHOP_LEASE_S": "x"}])
def test_a_refusal_does_not_give_a_secret_away(value: dict[str, str]) -> None:
    with pytest.raises(SettingsRefused) as refused:
        Config.load([ShopSettings], value)

    assert CANARY not in str(refused.value)


def test_a_group_that_nobody_read_has_its_defaults() -> None:
    assert Config([])[ShopSettings].lease_s == 30.0


def test_a_field_that_is_not_there_cannot_be_set() -> None:
    with pytest.raises(ValueError, match="extra"):
        ShopSettings(surprise=1)  # type: ignore[call-arg]


def test_a_child_process_gets_our_environment_and_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSSATURE_TEST_ONE", "1")
    seen: Any = environment_of_child(OSSATURE_TEST_TWO="2")

    assert (seen["OSSATURE_TEST_ONE"], seen["OSSATURE_TEST_TWO"]) == ("1", "2")


@pytest.mark.parametrize("locator", ["OSSATURE_CONFIG_FILE", "OSSATURE_ENV_FILE", "OSSATURE_SECRETS_DIR"])
def test_a_source_that_is_named_and_not_there_is_a_fault(locator: str) -> None:
    _, findings = Config.examine([ShopSettings], {locator: "nowhere"})

    assert [(one.setting, one.severity) for one in findings] == [(locator, Severity.ERROR)]
    assert "nowhere" in findings[0].wrong


@pytest.mark.parametrize("content", [b"[shop\nlease_s = 3", b"[shop]\nurl = '\xff'", b"lease_s = "])
def test_a_file_that_cannot_be_read_is_a_fault_like_others(elsewhere: Path, content: bytes) -> None:
    (elsewhere / "ossature.toml").write_bytes(content)

    with pytest.raises(SettingsRefused, match=r"OSSATURE_CONFIG_FILE: leads to 'ossature\.toml', which cannot be read"):
        load()


def test_a_typing_error_in_a_file_is_found_too(elsewhere: Path) -> None:
    (elsewhere / "ossature.toml").write_text("[shop]\nlease = 3\n[shop.keys]\ngroq = 'x'\n")
    (elsewhere / ".env").write_text("OSSATURE_SHOP_HOST=a\nPATH_OF_OTHERS=b\n")

    _, findings = Config.examine([ShopSettings], {})

    assert [(one.setting, one.wrong) for one in findings] == [
        ("OSSATURE_SHOP_HOST", "is not a setting (in .env)"),
        ("OSSATURE_SHOP_LEASE", "is not a setting (in ossature.toml)"),
    ]


def test_a_slash_at_the_end_of_the_public_address_is_no_part_of_it() -> None:
    loaded = Config.load([], {"OSSATURE_PUBLIC_URL": "https://api.example.org/"})
    assert loaded.main.public_url == "https://api.example.org"
