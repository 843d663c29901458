"""Libraries of the extra `predict`, which a house that predicts nothing does without."""

import importlib

from ossature.kernel.errors import Misconfigured


def needed(*libraries: str) -> None:
    """Raises: Misconfigured naming the extra, when a library is not installed."""
    for library in libraries:
        try:
            importlib.import_module(library)
        except ImportError as missing:
            raise Misconfigured(f'{library} is not installed: pip install "ossature[predict]"') from missing
