"""From which country an address is, by a file in the format of MaxMind (MMDB) that an operator brings."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ossature.kernel.errors import Misconfigured


class Countries:
    """A file of countries. It is read once, when the process starts.

    Raises: Misconfigured when it cannot be read, or the extra is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import maxminddb  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise Misconfigured("Rules by country need the extra: pip install 'ossature[geo]'.") from error
        try:
            self._reader = maxminddb.open_database(path)
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise Misconfigured(f"The file of countries cannot be read: {path}.") from error

    def country(self, ip: str) -> str:
        """The ISO 3166 code of the country of an address, upper case; empty when nobody knows."""
        try:
            found: Any = self._reader.get(ip_address(ip))
        except ValueError:  # no address, or IPv6 in a file of IPv4
            return ""
        country = found.get("country") if isinstance(found, dict) else None
        code = country.get("iso_code") if isinstance(country, dict) else None
        return code.upper() if isinstance(code, str) else ""
