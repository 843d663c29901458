"""The secrets that connections name: of one tenant, or of all, and never of another tenant."""

from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from ossature.kernel.config import Config
from ossature.kernel.context import Tenant
from ossature.services.sync.domain.problems import SecretMissing
from ossature.services.sync.domain.values import Connection
from ossature.services.sync.providers.connectors import OwnConnectors
from ossature.services.sync.settings import SyncSettings


def _settings(**variables: str) -> SyncSettings:
    return Config.load([SyncSettings], environ={f"OSSATURE_SYNC_{name}": value for name, value in variables.items()})[
        SyncSettings
    ]


def _value(found: SecretStr | None) -> str | None:
    return found.get_secret_value() if found is not None else None


def test_a_tenant_has_secrets_of_its_own_before_those_of_all() -> None:
    settings = _settings(SECRET_URL="everybody's", TENANT_SECRET_ACME_CARE__URL="acme's")

    assert _value(settings.secret("acme-care", "url")) == "acme's"
    assert _value(settings.secret("acme-care", "URL")) == "acme's"
    assert _value(settings.secret("globex", "url")) == "everybody's"


def test_strangers_share_nothing_where_that_is_turned_off() -> None:
    settings = _settings(SECRET_URL="everybody's", TENANT_SECRET_ACME__URL="acme's", SHARED_SECRETS="false")

    assert _value(settings.secret("acme", "url")) == "acme's"
    assert settings.secret("globex", "url") is None


@pytest.mark.parametrize(("tenant", "name"), [("a", "b__c"), ("globex", "a__b__c"), ("globex", "a--b__c")])
def test_no_name_reaches_into_the_secrets_of_another_tenant(tenant: str, name: str) -> None:
    settings = _settings(TENANT_SECRET_A__B__C="of a--b, where it is named c")

    assert _value(settings.secret("a--b", "c")) == "of a--b, where it is named c"
    assert settings.secret(tenant, name) is None


def test_who_lacks_a_secret_is_told_where_it_is_looked_for(tmp_path: Path) -> None:
    connection = Connection(name="shop", kind="sql", public={}, secrets={"url": "SHOP"})
    tenant = Tenant(id=uuid4(), slug="acme-care", name="Acme", plan="free", zone="UTC", language="en")

    def told(settings: SyncSettings) -> str:
        connectors = OwnConnectors(settings, files_dir=tmp_path, out=pytest.fail)
        with pytest.raises(SecretMissing) as refusal:
            connectors.source(tenant, connection)
        return str(refusal.value)

    assert "OSSATURE_SYNC_SECRET_SHOP" in told(_settings())
    assert "OSSATURE_SYNC_TENANT_SECRET_ACME_CARE__SHOP" in told(_settings(SHARED_SECRETS="false"))
