"""The service levels of this process's services, for those to whom they are promised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ossature.kernel.service import Objective


@dataclass(frozen=True, slots=True)
class Promises:
    """Levels by service. period: what they are counted over, as ISO 8601 writes durations."""

    by_service: Mapping[str, Sequence[Objective]]
    period: str = "P30D"
