"""Sealed values and the key ring as a part of the house."""

from typing import TYPE_CHECKING, Final

from ossature.kernel.crypto.settings import CryptoSettings
from ossature.kernel.http.secret import installation_secret
from ossature.kernel.secrets.checks import KEY_RING
from ossature.kernel.secrets.jobs import JOBS
from ossature.kernel.secrets.usecases import SealedColumns
from ossature.kernel.service import Service

if TYPE_CHECKING:
    from ossature.kernel.house import House


def _columns(house: "House") -> SealedColumns:
    return SealedColumns(
        house.database,
        [column for service in house.services for column in service.sealed],
        secret=installation_secret(house.settings),
        batch=house.settings[CryptoSettings].batch,
    )


service: Final = Service(
    name="secrets",
    title="Secrets: the key ring and what it seals",
    settings=(CryptoSettings,),
    jobs=JOBS,
    offers={SealedColumns: _columns},
    checks=(KEY_RING,),
)
