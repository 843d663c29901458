"""Every table of the house, known at once."""

import importlib
import pkgutil

from sqlalchemy import MetaData

import ossature
from ossature.kernel.db.table import Table


def load() -> MetaData:
    """The tables of all rooms. Imports every `store` module; a store that cannot be imported is an error."""
    for module in pkgutil.walk_packages(ossature.__path__, "ossature."):
        if "store" in module.name.split(".") and not module.name.startswith("ossature.sim."):
            importlib.import_module(module.name)
    return Table.metadata
