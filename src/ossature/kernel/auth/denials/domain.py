"""Addresses that are refused for a while since they failed as abuse does."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from typing import Final

from ossature.kernel.errors import NotFound

ABUSE: Final = frozenset({"unauthenticated", "rate_limited", "not_found"})
"""The kinds of failures that count. An old session cookie does not: browsers bring one by themselves."""
_LOWER_64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class DeniedAddress:
    """An address that is refused everything until `denied_until`. failures: how many it had in its window."""

    address: str
    failures: int
    denied_at: datetime
    denied_until: datetime


class AddressNotDenied(NotFound):
    """This address is not refused by itself; the lists of the settings are another matter."""

    title = "Address not denied"


def counted_as(ip: str) -> str:
    """What an address is counted as: itself, or of IPv6 the first of its /64, of which one caller has all."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ip[:64]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) & ~_LOWER_64))
