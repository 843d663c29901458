"""The way out as a part of the house: its tables, settings and housekeeping."""

from typing import TYPE_CHECKING, Final

from ossature.kernel.outbound import store
from ossature.kernel.outbound.checks import PROVIDERS
from ossature.kernel.outbound.facts import FACTS
from ossature.kernel.outbound.ledger import jobs as ledger_jobs
from ossature.kernel.outbound.ledger import store as ledger_store
from ossature.kernel.outbound.ledger.opening import open_ledger
from ossature.kernel.outbound.ledger.settings import LedgerSettings
from ossature.kernel.outbound.ledger.values import Ledger
from ossature.kernel.outbound.settings import OutboundSettings
from ossature.kernel.outbound.warming import WARM
from ossature.kernel.service import Alert, Service

if TYPE_CHECKING:
    from ossature.kernel.house import House


def _ledger(house: "House") -> Ledger:
    return open_ledger(house.config, house.database)


# Not those that say something about the question: it may be wrong, refused, or cancelled.
_FAILURES: Final = "auth|upstream_5xx|connect|timeout_before_send|timeout_after_send|decode|truncated"

service: Final = Service(
    name="outbound",
    title="The way out: providers, quota ledger, breakers",
    settings=(OutboundSettings, LedgerSettings),
    tables=(store.ProviderStateRow, ledger_store.WindowRow, ledger_store.PaceRow, ledger_store.AttemptRow),
    jobs=(*ledger_jobs.JOBS, WARM),
    facts=FACTS,
    offers={Ledger: _ledger},
    checks=PROVIDERS,
    alerts=(
        Alert(
            "ProviderLeftAlone",
            "max by (provider) (outbound_breaker_open) == 1",
            900,
            "warning",
            "{{ $labels.provider }} has failed for a quarter of an hour and is left alone",
            "provider-left-alone",
        ),
        Alert(
            "ProviderFails",
            f'sum by (provider) (rate(outbound_attempts_total{{outcome=~"{_FAILURES}"}}[15m]))'
            " / sum by (provider) (rate(outbound_attempts_total[15m])) > 0.2"
            " and sum by (provider) (increase(outbound_attempts_total[15m])) >= 20",
            300,
            "warning",
            "{{ $value | humanizePercentage }} of the attempts to reach {{ $labels.provider }} fail",
            "provider-left-alone",
        ),
        Alert(
            "LedgerDiffers",
            "max(ledger_differences) > 0",
            0,
            "critical",
            "{{ $value }} counters of the quota ledger are not the sum of their attempts",
            "ledger-differs",
        ),
    ),
)
