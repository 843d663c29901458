"""Settings out of HashiCorp Vault: one secret of its KV engine, version 2, whose keys are names of settings.

Source: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2, .../auth/approle.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from ossature.kernel.config import Config, Finding, Source, SourceAway
from ossature.kernel.errors import Misconfigured
from ossature.kernel.secrets.trust import forget, trusted


class VaultSettings(Source, room="vault"):
    """Where secrets are kept, if in a Vault. What stands there goes before the environment, which holds when it is away."""

    well_known: ClassVar[Mapping[str, str]] = {
        "addr": "VAULT_ADDR",
        "token": "VAULT_TOKEN",
        "namespace": "VAULT_NAMESPACE",
        "ca_file": "VAULT_CACERT",
    }

    addr: str = Field(default="", description="Address of the Vault, such as https://vault:8200. Empty: there is none.")
    token: SecretStr = Field(default=SecretStr(""), description="Token with which it is asked.")
    role_id: str = Field(
        default="", description="Role (AppRole) with which a token is got, instead of one that is given."
    )
    secret_id: SecretStr = Field(default=SecretStr(""), description="Secret id of that role.")
    mount: str = Field(default="secret", description="Where the KV engine (version 2) is mounted.")
    path: str = Field(default="ossature", description="Path of the secret whose keys are names of settings.")
    namespace: str = Field(default="", description="Namespace, where the Vault has several.")
    ca_file: str = Field(
        default="", description="Certificates that the Vault's is checked against; empty: the machine's."
    )
    ttl_s: float = Field(default=300.0, ge=0, description="How long a process trusts what it read.")
    time_limit_s: float = Field(default=5.0, gt=0, le=60, description="How long an answer may take.")

    def findings(self, config: Config) -> Iterator[Finding]:
        """A Vault that nobody could ask."""
        del config
        if self.addr and not self.token.get_secret_value() and not self.role_id:
            yield Finding(
                self.variable("token"),
                "is not set, nor is a role",
                "Set it, or OSSATURE_VAULT_ROLE_ID with its secret id.",
            )

    def fetch(self) -> Mapping[str, str]:
        """The variables that the Vault keeps. Raises: SourceAway when it was never reached."""
        if not self.addr or not (self.token.get_secret_value() or self.role_id):
            return {}
        return trusted((self.addr, self.mount, self.path), self.read, ttl_s=self.ttl_s)

    def read(self) -> dict[str, str]:
        """What the Vault keeps now. Raises: SourceAway."""
        from hvac.exceptions import InvalidPath  # noqa: PLC0415 - of the extra [vault]

        with self._asked() as client:
            try:
                answer = client.secrets.kv.v2.read_secret_version(
                    path=self.path, mount_point=self.mount, raise_on_deleted_version=True
                )
            except InvalidPath:
                return {}
            return {name: str(value) for name, value in answer["data"]["data"].items()}

    def write(self, values: Mapping[str, str]) -> None:
        """Keep these values beside the others that are there. Raises: SourceAway, also when somebody else was faster."""
        from hvac.exceptions import InvalidPath  # noqa: PLC0415 - of the extra [vault]

        with self._asked() as client:
            kv = client.secrets.kv.v2
            try:
                answer = kv.read_secret_version(path=self.path, mount_point=self.mount, raise_on_deleted_version=True)
                before, version = answer["data"]["data"], answer["data"]["metadata"]["version"]
            except InvalidPath:
                before, version = {}, 0
            kv.create_or_update_secret(path=self.path, mount_point=self.mount, secret={**before, **values}, cas=version)
        forget((self.addr, self.mount, self.path))

    @contextmanager
    def _asked(self) -> Iterator[Any]:
        """A client that has a token, as long as the block lasts. Raises: SourceAway, Misconfigured."""
        try:
            import hvac  # noqa: PLC0415 - of the extra [vault]
            from hvac.exceptions import VaultError  # noqa: PLC0415 - of the extra [vault]
            from requests import RequestException  # noqa: PLC0415 - as hvac does
        except ImportError as missing:
            raise Misconfigured("Secrets in a Vault need the extra: pip install 'ossature[vault]'.") from missing
        client = hvac.Client(
            url=self.addr,
            token=self.token.get_secret_value() or None,
            namespace=self.namespace or None,
            verify=self.ca_file or True,
            timeout=self.time_limit_s,
        )
        try:
            if not client.token:
                client.auth.approle.login(role_id=self.role_id, secret_id=self.secret_id.get_secret_value())
            yield client
        except (VaultError, RequestException) as error:
            raise SourceAway(f"The Vault gave no answer that can be used: {type(error).__name__}.") from error
        finally:
            client.adapter.close()
