"""Checks of the windows on the outside world: which of them are shut."""

from typing import TYPE_CHECKING

from ossature.kernel.outbound.board import Board
from ossature.kernel.outbound.breaker import BreakerState
from ossature.kernel.service import Check, CheckResult, Health

if TYPE_CHECKING:
    from ossature.kernel.house import House


async def _providers(house: "House") -> CheckResult:
    """From what this process knows: nothing is asked of anybody."""
    states = [(key.provider, key.group, state) for key, state, _ in house.port(Board).states()]
    down = sorted({f"{provider} ({group})" for provider, group, state in states if state is not BreakerState.CLOSED})
    facts = {"asked": len({provider for provider, _, _ in states}), "down": down}
    if down:
        return CheckResult(
            Health.DEGRADED,
            f"Left alone after failures: {', '.join(down)}.",
            "Others step in; see the providers page.",
            facts,
        )
    return CheckResult(Health.OK, facts=facts)


PROVIDERS = (Check(name="providers", run=_providers),)
"""What is checked of everybody who is asked."""
