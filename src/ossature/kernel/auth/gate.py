"""The gate of the house: what signing in and telling who asks need, once per process."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from ossature.kernel import clock
from ossature.kernel.auth.passwords import Passwords
from ossature.kernel.auth.roles import Roles
from ossature.kernel.auth.settings import AuthSettings
from ossature.kernel.auth.tokens import store
from ossature.kernel.auth.tokens.signer import TokenRefused, TokenSigner, kid_of
from ossature.kernel.config import Config
from ossature.kernel.db.engine import Database
from ossature.kernel.http.secret import installation_secret
from ossature.kernel.service import Service
from ossature.kernel.tenants.registry import Registry

SIGNING = "auth.signing"
"""The signal that a signing key was replaced."""

_RELOAD_S = 2.0


class Gate:
    """Roles, passwords, signing keys and the way to all tenants."""

    def __init__(
        self, registry: Registry, *, config: Config, services: Iterable[Service], passwords: Passwords | None = None
    ) -> None:
        self.registry = registry
        self.settings = config[AuthSettings]
        self.roles = Roles(services)
        self.passwords = passwords or Passwords(threads=self.settings.hash_threads)
        self.secret = installation_secret(config)
        self.signer = TokenSigner(self.secret, issuer=config.main.public_url, life_s=self.settings.access_token_s)
        self.https = config.main.public_url.startswith("https://")
        self._signing_read_at: datetime | None = None
        self._signing_epoch = 0
        registry.signals.subscribe(SIGNING, lambda _: self._forget_signing(), lost=self._forget_signing)

    @property
    def database(self) -> Database:
        """Where all rows lie."""
        return self.registry.database

    async def ready_to_sign(self) -> TokenSigner:
        """The signer, with a key that is not too old; the first of a house is made here."""
        if self._signing_read_at is None:
            await self._read_signing()
        if not self.signer.current:
            await self.rotate_signing_key()
        return self.signer

    async def ready_to_read(self, token: str) -> TokenSigner:
        """The signer, which knows the key of this token if any process does.

        Raises: TokenRefused for a key that nobody knows.
        """
        kid = kid_of(token)
        if not self.signer.knows(kid):
            read_at = self._signing_read_at
            # Made-up names must not become queries: the list is read again at most every other second.
            if not kid or (read_at is not None and clock.now() - read_at < timedelta(seconds=_RELOAD_S)):
                raise TokenRefused
            await self._read_signing()
        return self.signer

    async def rotate_signing_key(self) -> str:
        """Sign with a new key from now on, and drop those that no living token needs; the name of the new key."""
        now = clock.now()
        kid = f"{now:%Y%m%dT%H%M}"  # two processes that rotate at once make the same key
        async with self.database.begin() as db:
            await store.add_signing_key(db, kid, now)
            spent = now - timedelta(seconds=2 * self.settings.access_token_s)
            await store.delete_signing_keys_retired_before(db, spent)
            self.registry.signals.publish_after(db, SIGNING)
        await self._read_signing()
        return kid

    async def signing_key_age(self) -> timedelta | None:
        """How old the key is that signs; None when there is none yet."""
        async with self.database.begin() as db:
            known = await store.signing_keys(db)
        return clock.now() - known[0][1] if known else None

    def close(self) -> None:
        """Let the threads end."""
        self.passwords.close()

    def _forget_signing(self) -> None:
        self._signing_epoch += 1
        self._signing_read_at = None

    async def _read_signing(self) -> None:
        epoch = self._signing_epoch
        async with self.database.begin() as db:
            known = await store.signing_keys(db)
        self.signer.use(kid for kid, _, _ in known)
        if epoch == self._signing_epoch:  # else a key was replaced while the list was read
            self._signing_read_at = clock.now()
