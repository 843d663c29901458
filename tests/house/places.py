"""Where the sources lie, for the laws."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "ossature"


def modules() -> Iterator[Path]:
    """Every Python file of the product, generated ones and migrations left out."""
    for path in sorted(SOURCE.rglob("*.py")):
        if "__pycache__" not in path.parts and "versions" not in path.parts:
            yield path


def dotted(path: Path) -> str:
    """The name under which a file is imported."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
