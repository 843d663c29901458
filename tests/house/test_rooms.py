"""docs/rooms.md names every room, and no room that is not there."""

import re

from tests.house.places import ROOT, SOURCE

ROOMS_OF_A_SERVICE = {
    "service", "api", "jobs", "pages", "graph", "rpc", "commands",
    "usecases", "providers", "store", "ports", "domain", "settings",
}  # fmt: skip


def _named(section: str) -> set[str]:
    text = (ROOT / "docs" / "rooms.md").read_text()
    part = text.split(f"## {section}", 1)[1].split("\n## ", 1)[0]
    first_cells = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    return {name.removesuffix(".py").strip("/") for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}


def _present(folder: str) -> set[str]:
    return {
        path.stem if path.suffix == ".py" else path.name
        for path in (SOURCE / folder).iterdir()
        if path.name not in {"__init__.py", "__pycache__", "py.typed"}
        and (path.suffix == ".py" or any(path.glob("*.py")))
    }


def test_the_page_names_every_room_of_the_kernel() -> None:
    assert _named("Rooms of the kernel") == _present("kernel")


def test_the_page_names_the_rooms_of_a_service() -> None:
    assert _named("Rooms of a service") == ROOMS_OF_A_SERVICE


def test_a_service_has_no_other_rooms() -> None:
    for service in (SOURCE / "services").iterdir():
        if service.is_dir() and service.name != "__pycache__":
            assert _present(f"services/{service.name}") <= ROOMS_OF_A_SERVICE
