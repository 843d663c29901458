"""`ossature backup`, as an operator types it."""

import sys
from io import StringIO
from pathlib import Path

import pytest

from tests.kernel.cli.conftest import Ossature, at_home, ossature

__all__ = ["at_home", "ossature"]


def names(ossature: Ossature) -> list[str]:
    return [row["name"] for row in ossature("backup", "list", "--json").json]  # type: ignore[union-attr, index, call-overload] # a list of objects


@pytest.mark.usefixtures("at_home")
def test_create_list_verify_drill_and_restore(ossature: Ossature) -> None:
    assert "no backup yet" in ossature("backup", "list").out
    assert ossature("backup", "verify", "latest").code == 1

    made = ossature("backup", "create", "--json")
    assert made.code == 0
    assert "keyring.json elsewhere" in made.err
    name = made.json["name"]  # type: ignore[index] # an object
    assert names(ossature) == [name]
    assert ossature("backup", "verify").code == 0
    assert ossature("backup", "drill").code == 0
    assert ossature("drill", "restore", name).code == 0
    assert ossature("backup", "restore", "nonsense", "--force").code == 1
    assert ossature("backup", "restore", name, "--force").code == 0
    assert ossature("backup", "create", "--server", "http://127.0.0.1:1").code == 1


def test_restore_asks_before_it_overwrites(ossature: Ossature, at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ossature("backup", "create")
    database = at_home / "ossature.db"
    before = database.stat().st_ino

    monkeypatch.setattr(sys, "stdin", StringIO(""))
    refused = ossature("backup", "restore", "latest")

    assert refused.code == 1
    assert "is lost. Go on?" in refused.out + refused.err
    assert database.stat().st_ino == before


def test_a_damaged_backup_is_exit_code_1_and_is_named(ossature: Ossature, at_home: Path) -> None:
    ossature("backup", "create")
    (part,) = (at_home / "var" / "backups").glob("2*/state.tar*")
    part.write_bytes(b"x")

    said = ossature("backup", "verify", "--json")

    assert said.code == 1
    assert "digest differs" in said.json[0]["faults"][0]  # type: ignore[index] # a list of objects
    assert ossature("backup", "restore", "latest", "--force").code == 1
