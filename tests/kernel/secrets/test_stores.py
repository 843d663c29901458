"""Settings that are kept in a Vault or with AWS, and what becomes of them when it is away."""

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from ossature.kernel import clock
from ossature.kernel.config import Config, MainSettings, Severity
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.errors import Misconfigured
from ossature.kernel.guests import everybody, settings_of
from ossature.kernel.secrets import stores
from ossature.kernel.secrets.aws import AwsSettings
from ossature.kernel.secrets.vault import VaultSettings
from ossature.kernel.testing.clocks import FakeClock
from tests.kernel.cli.conftest import Ossature, at_home, ossature
from tests.kernel.secrets.vault import ROLE, ROOT, SECRET_ID, Vault, open_vault

__all__ = ["at_home", "ossature"]
GROUPS = (MainSettings, DatabaseSettings, VaultSettings, AwsSettings)
KEPT = "kept outside, 0123456789abcdefghij"
HERE = "of this machine, 0123456789abcdef!"


@pytest.fixture(autouse=True)
def nothing_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test read is forgotten, as by a new process."""
    monkeypatch.setattr("ossature.kernel.secrets.trust._read", {})


@pytest.fixture
def vault() -> Iterator[Vault]:
    with open_vault() as opened:
        yield opened


def of_vault(vault: Vault, **more: str) -> dict[str, str]:
    return {"OSSATURE_VAULT_ADDR": vault.url, "OSSATURE_VAULT_TOKEN": ROOT, "OSSATURE_SECRET_KEY": HERE, **more}


def secret_key(environ: dict[str, str]) -> str:
    return Config.load(GROUPS, environ).main.secret_key.get_secret_value()


@pytest.mark.parametrize("name", ["OSSATURE_SECRET_KEY", "secret_key"])
def test_what_the_vault_keeps_goes_before_the_environment(vault: Vault, name: str) -> None:
    vault.kept["ossature"], vault.versions["ossature"] = {name: KEPT, "of_another_program": "x"}, 1

    config, findings = Config.examine(GROUPS, of_vault(vault))

    assert config.main.secret_key.get_secret_value() == KEPT
    assert findings == []
    shown = {value.name: value for value in config.values()}["OSSATURE_SECRET_KEY"]
    assert (shown.source, shown.shown) == ("vault", "********")
    assert KEPT in config.secrets()


def test_what_it_does_not_keep_comes_from_the_environment(vault: Vault) -> None:
    assert secret_key(of_vault(vault)) == HERE


def test_the_names_of_vault_itself_are_known(vault: Vault) -> None:
    vault.kept["ossature"], vault.versions["ossature"] = {"SECRET_KEY": KEPT}, 1

    assert secret_key({"VAULT_ADDR": vault.url, "VAULT_TOKEN": ROOT}) == KEPT


def test_a_role_gets_its_token_by_itself(vault: Vault) -> None:
    vault.kept["house/prod"], vault.versions["house/prod"] = {"SECRET_KEY": KEPT}, 1
    role = {"OSSATURE_VAULT_ROLE_ID": ROLE, "OSSATURE_VAULT_SECRET_ID": SECRET_ID, "OSSATURE_VAULT_PATH": "house/prod"}

    assert secret_key({"OSSATURE_VAULT_ADDR": vault.url, **role}) == KEPT
    assert vault.asked == ["POST /v1/auth/approle/login", "GET /v1/secret/data/house/prod"]


@pytest.mark.parametrize("how", ["sealed", "wrong token", "wrong role", "nobody there"])
def test_a_vault_that_is_away_is_told_of_and_the_environment_holds(vault: Vault, how: str) -> None:
    environ = of_vault(vault)
    vault.sealed = how == "sealed"
    environ |= {
        "wrong token": {"OSSATURE_VAULT_TOKEN": "s.other"},
        "wrong role": {"OSSATURE_VAULT_TOKEN": "", "OSSATURE_VAULT_ROLE_ID": "x", "OSSATURE_VAULT_SECRET_ID": "s3cr"},
        "nobody there": {"OSSATURE_VAULT_ADDR": "http://127.0.0.1:1"},
    }.get(how, {})

    config, findings = Config.examine(GROUPS, environ)

    assert config.main.secret_key.get_secret_value() == HERE
    assert [(one.setting, one.severity) for one in findings] == [("OSSATURE_VAULT", Severity.WARNING)]
    assert "s.other" not in str(findings[0])


def test_it_is_asked_once_within_its_time_and_what_was_read_outlives_it(vault: Vault) -> None:
    vault.kept["ossature"], vault.versions["ossature"] = {"SECRET_KEY": KEPT}, 1
    with clock.using(FakeClock()) as still:
        keys = [secret_key(of_vault(vault)) for _ in range(3)]
        assert vault.asked == ["GET /v1/secret/data/ossature"]
        vault.kept["ossature"] = {"SECRET_KEY": KEPT[::-1]}
        still.advance(301)
        keys.append(secret_key(of_vault(vault)))
        vault.sealed = True
        still.advance(301)
        keys.append(secret_key(of_vault(vault)))

    assert keys == [KEPT, KEPT, KEPT, KEPT[::-1], KEPT[::-1]]


def test_a_vault_that_nobody_could_ask_is_refused(vault: Vault) -> None:
    _, findings = Config.examine(GROUPS, {"OSSATURE_VAULT_ADDR": vault.url})

    assert [(one.setting, one.severity) for one in findings] == [("OSSATURE_VAULT_TOKEN", Severity.ERROR)]
    assert vault.asked == []


ENV = f"""
OSSATURE_SECRET_KEY={HERE}
OSSATURE_DATABASE_URL=postgresql+asyncpg://house:pa55@db/house
OSSATURE_PUBLIC_URL=https://api.example.org
OSSATURE_HUB_KEY_GROQ=gsk_1
OSSATURE_WORKERS=3
OSSATURE_VAULT_TOKEN=s.root
SOMETHING_ELSE=x
"""
SECRETS = {
    "OSSATURE_SECRET_KEY": HERE,
    "OSSATURE_DATABASE_URL": "postgresql+asyncpg://house:pa55@db/house",
}


def test_secrets_of_a_file_move_into_a_vault_and_nothing_else_does(
    ossature: Ossature, at_home: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    (at_home / "old.env").write_text(ENV)
    vault.kept["ossature"], vault.versions["ossature"] = {"OTHER": "stays"}, 4
    monkeypatch.setenv("OSSATURE_VAULT_ADDR", vault.url)
    monkeypatch.setenv("OSSATURE_VAULT_TOKEN", ROOT)

    first = ossature("secrets", "migrate", "--from", "old.env", "--to", "vault", "--json")
    again = ossature("secrets", "migrate", "--from", "old.env", "--json")

    assert vault.kept["ossature"] == {"OTHER": "stays", **SECRETS}
    assert vault.versions["ossature"] == 5
    assert {one["setting"]: one["done"] for one in first.json} == dict.fromkeys(SECRETS, "written")
    assert {one["setting"]: one["done"] for one in again.json} == dict.fromkeys(SECRETS, "was there")
    assert not any(value in first.out + first.err for value in SECRETS.values())
    assert (at_home / "old.env").read_text() == ENV


def test_a_secret_of_ours_is_replaced_where_it_is_kept(
    ossature: Ossature, at_home: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    del at_home
    vault.kept["ossature"], vault.versions["ossature"] = {"OSSATURE_SECRET_KEY": KEPT}, 1
    monkeypatch.setenv("OSSATURE_VAULT_ADDR", vault.url)
    monkeypatch.setenv("OSSATURE_VAULT_TOKEN", ROOT)

    said = ossature("secrets", "rotate", "SECRET_KEY")
    new = vault.kept["ossature"]["OSSATURE_SECRET_KEY"]
    assert said.code == 0
    assert new not in said.out
    assert len(new) >= 48
    assert new != KEPT
    for _ in range(2):
        assert ossature("secrets", "rotate", "crypto_keys").code == 0
    assert len(vault.kept["ossature"]["OSSATURE_CRYPTO_KEYS"].split(",")) == 2
    assert "Nobody" not in ossature("keys", "list").err
    for name in ("WORKERS", "NO_SUCH_THING", "OUTBOUND_SMTP_PASSWORD"):
        assert ossature("secrets", "rotate", name).code == 1


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("where", ["vault", "aws"])
def test_without_a_place_nothing_is_moved(ossature: Ossature, where: str) -> None:
    said = ossature("secrets", "rotate", "SECRET_KEY", "--to", where)

    assert said.code == 1
    assert f"OSSATURE_{where.upper()}" in said.err


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsSettings]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield AwsSettings(secret="ossature/production", region="eu-central-1")


def test_secrets_move_to_aws_and_are_read_from_there(aws: AwsSettings, tmp_path: Path) -> None:
    (tmp_path / "env").write_text(ENV)
    groups = settings_of(everybody(()))
    environ = {"OSSATURE_AWS_SECRET": aws.secret, "OSSATURE_AWS_REGION": aws.region, "OSSATURE_AWS_TTL_S": "0"}

    assert stores.migrate(tmp_path / "env", groups, aws).written == sorted(SECRETS)
    assert stores.migrate(tmp_path / "env", groups, aws).same == sorted(SECRETS)
    assert secret_key(environ) == HERE
    assert stores.rotate("secret_key", groups, aws) == "OSSATURE_SECRET_KEY"
    replaced = secret_key(environ)
    assert replaced != HERE
    kept = boto3.client("secretsmanager", region_name=aws.region).get_secret_value(SecretId=aws.secret)
    assert json.loads(kept["SecretString"]) == {**SECRETS, "OSSATURE_SECRET_KEY": replaced}


def test_what_aws_keeps_and_is_no_object_is_told_of(aws: AwsSettings) -> None:
    boto3.client("secretsmanager", region_name=aws.region).create_secret(Name=aws.secret, SecretString="plain")
    environ = {"OSSATURE_AWS_SECRET": aws.secret, "OSSATURE_AWS_REGION": aws.region, "OSSATURE_SECRET_KEY": HERE}

    config, findings = Config.examine(GROUPS, environ)

    assert config.main.secret_key.get_secret_value() == HERE
    assert [one.setting for one in findings] == ["OSSATURE_AWS"]


def test_a_file_that_is_not_there_is_named(aws: AwsSettings, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="cannot be read"):
        stores.migrate(tmp_path / "none", GROUPS, aws)
    with pytest.raises(Misconfigured, match="OSSATURE_AWS_SECRET"):
        stores.keeper_of(Config([]), "aws")
