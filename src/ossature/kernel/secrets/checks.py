"""Checks of the key ring: whether it can be read, and whether it is turned in time."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ossature.kernel import clock
from ossature.kernel.crypto.settings import CryptoSettings
from ossature.kernel.errors import Misconfigured
from ossature.kernel.service import Check, CheckResult, Health

if TYPE_CHECKING:
    from ossature.kernel.house import House

_GRACE = timedelta(days=14)


async def _key_ring(house: "House") -> CheckResult:
    try:
        keys = house.ring.keys
    except Misconfigured as problem:
        return CheckResult(Health.DOWN, str(problem), "Restore it from where you keep a copy; do not make a new one.")
    age = clock.now() - keys[0].created_at
    facts = {"active": keys[0].id, "age_days": age.days, "keys": len(keys)}
    if age > timedelta(days=house.settings[CryptoSettings].rotation_days) + _GRACE:
        turn = "Run `ossature keys rotate`; a scheduler and a worker do it by themselves."
        advice = turn if house.ring.turns else "Put a new key first in OSSATURE_CRYPTO_KEYS (`ossature keys new`)."
        return CheckResult(Health.DEGRADED, f"The active key is {age.days} days old.", advice, facts)
    return CheckResult(Health.OK, facts=facts)


KEY_RING: Final = Check(name="key_ring", run=_key_ring)
