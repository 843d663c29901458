"""The key ring: what is sealed opens again here, as what it was sealed for, and in no other way."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ossature.kernel import clock
from ossature.kernel.config import Config, MainSettings, SettingsRefused
from ossature.kernel.crypto.kept import RingFile, as_setting, open_ring
from ossature.kernel.crypto.ring import (
    ENVELOPE_BYTES,
    FixedKeys,
    Key,
    KeyRing,
    NotSealed,
    SealBroken,
    UnknownKey,
    head_of,
    of_text,
    to_text,
)
from ossature.kernel.crypto.settings import CryptoSettings
from ossature.kernel.crypto.stream import PIECE_BYTES, open_stream, seal_stream
from ossature.kernel.errors import Misconfigured
from ossature.kernel.testing.clocks import FakeClock

OLD, NEW = Key.new(), Key.new()


RING = KeyRing(FixedKeys(NEW, OLD))
PLACES = st.text(max_size=40)


def sealed_stream(plain: bytes, *, about: str = "backup") -> bytes:
    out = BytesIO()
    assert seal_stream(RING, BytesIO(plain), out, about=about) == len(out.getvalue())
    return out.getvalue()


def opened_stream(sealed: bytes, *, about: str = "backup") -> bytes:
    out = BytesIO()
    assert open_stream(RING, BytesIO(sealed), out, about=about) == len(out.getvalue())
    return out.getvalue()


@given(plain=st.binary(max_size=300), about=PLACES)
def test_what_is_sealed_opens_again_and_is_never_sealed_alike(plain: bytes, about: str) -> None:
    once, twice = RING.seal(plain, about=about), RING.seal(plain, about=about)

    assert RING.open(once, about=about) == RING.open(twice, about=about) == plain
    assert once != twice
    assert RING.key_id_of(once) == NEW.id
    assert once.startswith(head_of(NEW))
    assert len(once) == len(plain) + 85


@given(about=PLACES, other=PLACES, plain=st.binary(max_size=40))
def test_it_opens_only_as_what_it_was_sealed_for(about: str, other: str, plain: bytes) -> None:
    sealed = RING.seal(plain, about=about)
    if about == other:
        assert RING.open(sealed, about=other) == plain
        return
    with pytest.raises(SealBroken):
        RING.open(sealed, about=other)


@given(plain=st.binary(max_size=40), data=st.data())
def test_no_bit_of_it_can_be_turned(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(RING.seal(plain, about="table/column/1"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises((SealBroken, UnknownKey, NotSealed)):
        RING.open(bytes(sealed), about="table/column/1")


@given(plain=st.binary(max_size=40), data=st.data())
def test_nothing_can_be_cut_off_or_added(plain: bytes, data: st.DataObject) -> None:
    sealed = RING.seal(plain, about="here")
    for other in (sealed[: data.draw(st.integers(0, len(sealed) - 1))], sealed + b"\0"):
        with pytest.raises((SealBroken, NotSealed)):
            RING.open(other, about="here")


@given(garbage=st.binary(max_size=200))
def test_garbage_is_refused_by_name(garbage: bytes) -> None:
    with pytest.raises((NotSealed, UnknownKey, SealBroken)):
        RING.open(garbage, about="here")


def test_the_envelope_of_one_value_does_not_open_another() -> None:
    one, other = RING.seal(b"one", about="here"), RING.seal(b"two", about="here")

    with pytest.raises(SealBroken):
        RING.open(one[:ENVELOPE_BYTES] + other[ENVELOPE_BYTES:], about="here")


def test_a_legacy_key_still_opens_and_no_longer_seals() -> None:
    before = KeyRing(FixedKeys(OLD)).seal(b"old", about="here")

    assert RING.open(before, about="here") == b"old"
    assert RING.key_id_of(before) == OLD.id
    assert RING.key_id_of(RING.seal(b"new", about="here")) == NEW.id


def test_a_key_that_is_not_on_the_ring_is_named() -> None:
    with pytest.raises(UnknownKey, match=NEW.id) as refused:
        KeyRing(FixedKeys(OLD)).open(RING.seal(b"new", about="here"), about="here")

    assert refused.value.facts == {"key": NEW.id}


def test_another_key_under_the_same_name_opens_nothing() -> None:
    impostor = KeyRing(FixedKeys(Key(NEW.id, Key.new().secret)))

    with pytest.raises(SealBroken):
        impostor.open(RING.seal(b"new", about="here"), about="here")


def test_a_key_says_when_it_was_made_and_takes_no_id_that_is_taken() -> None:
    taken = {f"{seconds:08x}{tail:04x}" for seconds in range(3) for tail in range(65535)}
    with clock.using(FakeClock(datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC))):
        made = Key.new(besides=taken)

    assert made.id == "00000002ffff"
    assert made.created_at == datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)


def test_a_key_does_not_show_its_secret() -> None:
    assert repr(NEW.secret) not in repr(NEW)


@given(plain=st.binary(max_size=60))
def test_in_text_it_begins_with_its_mark_and_its_key(plain: bytes) -> None:
    sealed = RING.seal(plain, about="here")

    assert of_text(to_text(sealed)) == sealed
    assert to_text(sealed).startswith(to_text(head_of(NEW)))
    assert to_text(head_of(NEW)).startswith("osk1")


@given(one=st.binary(max_size=20), other=st.binary(max_size=20), about=PLACES)
def test_a_blind_index_is_equal_for_equal_values_of_one_column_only(one: bytes, other: bytes, about: str) -> None:
    index = RING.blind(one, about=about)

    assert (index == RING.blind(other, about=about)) == (one == other)
    assert index != RING.blind(one, about=about + ".")
    assert index in RING.blinds(one, about=about)
    assert KeyRing(FixedKeys(OLD)).blind(one, about=about) in RING.blinds(one, about=about)


@pytest.mark.parametrize(
    "size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 5 * PIECE_BYTES // 2]
)
def test_a_stream_opens_again(size: int) -> None:
    plain = os.urandom(size)
    sealed = sealed_stream(plain)

    assert opened_stream(sealed) == plain
    assert RING.key_id_of(sealed) == NEW.id
    with pytest.raises(SealBroken):
        opened_stream(sealed, about="another")


def test_a_stream_cannot_be_cut_reordered_doubled_or_mixed() -> None:
    plain = os.urandom(3 * PIECE_BYTES + 5)
    sealed, other = sealed_stream(plain), sealed_stream(plain)
    head, piece = sealed[:ENVELOPE_BYTES], PIECE_BYTES + 16
    pieces = [sealed[at : at + piece] for at in range(ENVELOPE_BYTES, len(sealed), piece)]
    foreign = [other[at : at + piece] for at in range(ENVELOPE_BYTES, len(other), piece)]
    assert len(pieces) == 4
    first, second, third, last = pieces
    altered = {
        "cut between pieces": [first, second, third],
        "cut in a piece": [first, second, third, last[:-1]],
        "cut to nothing": [],
        "left out": [first, third, last],
        "swapped": [second, first, third, last],
        "doubled": [first, first, second, third, last],
        "lengthened": [*pieces, b"\0"],
        "ended twice": [*pieces, last],
        "mixed": [first, foreign[1], third, last],
    }

    for parts in altered.values():
        with pytest.raises(SealBroken):
            opened_stream(head + b"".join(parts))
    with pytest.raises(NotSealed):
        opened_stream(sealed[: ENVELOPE_BYTES - 1])


def test_a_value_is_no_stream_and_a_stream_no_value() -> None:
    with pytest.raises(NotSealed):
        opened_stream(RING.seal(b"x", about="backup"))
    with pytest.raises(NotSealed):
        RING.open(sealed_stream(b"x"), about="backup")


class Drop(BytesIO):
    """Gives at most seven bytes at a time, as a pipe may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(7, size if size is not None and size >= 0 else 7))


def test_a_source_that_gives_little_at_a_time_makes_the_same_pieces() -> None:
    out, back = BytesIO(), BytesIO()
    seal_stream(RING, Drop(b"ab" * 500), out, about="backup")
    open_stream(RING, Drop(out.getvalue()), back, about="backup")

    assert back.getvalue() == b"ab" * 500
    assert len(out.getvalue()) == ENVELOPE_BYTES + 1000 + 16


def test_a_new_installation_makes_a_ring_that_only_it_may_read(tmp_path: Path) -> None:
    config = Config([MainSettings(var_dir=tmp_path / "var"), CryptoSettings()])
    sealed = open_ring(config).seal(b"kept", about="here")
    path = tmp_path / "var" / "keyring.json"

    assert path.stat().st_mode & 0o777 == 0o600
    assert open_ring(config).open(sealed, about="here") == b"kept"
    assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]


def test_opening_a_ring_makes_nothing_before_it_is_used(tmp_path: Path) -> None:
    open_ring(Config([MainSettings(var_dir=tmp_path / "var"), CryptoSettings()]))

    assert not (tmp_path / "var").exists()


def test_a_turned_ring_is_seen_by_others_at_once_and_keeps_its_old_keys(tmp_path: Path) -> None:
    one, other = KeyRing(RingFile(tmp_path / "ring")), KeyRing(RingFile(tmp_path / "ring"))
    before = one.seal(b"before", about="here")
    assert other.open(before, about="here") == b"before"

    made = one.rotate()

    after = one.seal(b"after", about="here")
    assert one.key_id_of(after) == made.id != one.key_id_of(before)
    assert other.open(after, about="here") == b"after"
    assert other.key_id_of(other.seal(b"later", about="here")) == made.id
    assert KeyRing(RingFile(tmp_path / "ring")).open(before, about="here") == b"before"
    assert (tmp_path / "ring").stat().st_mode & 0o777 == 0o600


def test_of_two_who_rotate_for_the_same_reason_one_does(tmp_path: Path) -> None:
    ring = KeyRing(RingFile(tmp_path / "ring"))
    active = ring.active.id

    RingFile(tmp_path / "ring").rotate(active)
    RingFile(tmp_path / "ring").rotate(active)

    assert len(ring.keys) == 2


TURNER = """
import sys
from pathlib import Path
from ossature.kernel.crypto.kept import RingFile
from ossature.kernel.crypto.ring import KeyRing
ring = KeyRing(RingFile(Path(sys.argv[1])))
print(ring.seal(b"made first", about="here").hex(), flush=True)
sys.stdin.readline()
for number in range(20):
    ring.rotate()
    print(ring.seal(b"sealed while turning", about="here").hex(), flush=True)
"""


def test_processes_that_make_and_turn_one_ring_read_what_any_of_them_sealed(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    turners = [
        subprocess.Popen(
            [sys.executable, "-c", TURNER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    first = [turner.stdout.readline() for turner in turners if turner.stdout]
    ring = KeyRing(RingFile(path))
    assert [ring.open(bytes.fromhex(line), about="here") for line in first] == [b"made first"] * 3

    said = [turner.communicate("go\n", timeout=60)[0].split() for turner in turners]

    assert [turner.returncode for turner in turners] == [0, 0, 0]
    sealed = [bytes.fromhex(line) for lines in said for line in lines]
    assert len(sealed) == 60
    assert {ring.open(one, about="here") for one in sealed} == {b"sealed while turning"}
    assert {ring.key_id_of(one) for one in sealed} <= {key.id for key in ring.keys}


@pytest.mark.parametrize(
    "contents", ["", "{}", "[]", '{"format": 2, "keys": []}', '{"format": 1, "keys": []}', '{"format": 1, "keys": [1]}']
)
def test_a_damaged_file_is_not_replaced(tmp_path: Path, contents: str) -> None:
    path = tmp_path / "ring"
    path.write_text(contents)

    with pytest.raises(Misconfigured):
        KeyRing(RingFile(path)).seal(b"x", about="here")
    assert path.read_text() == contents


def test_a_key_of_another_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    KeyRing(RingFile(path)).seal(b"x", about="here")
    document = json.loads(path.read_text())
    document["keys"][0]["key"] = "c2hvcnQ="
    path.write_text(json.dumps(document))

    with pytest.raises(Misconfigured, match="32 bytes"):
        KeyRing(RingFile(path)).seal(b"x", about="here")


def test_a_ring_of_the_settings_opens_with_all_its_keys_and_turns_by_hand_only(tmp_path: Path) -> None:
    settings = CryptoSettings(keys=SecretStr(f"{as_setting(NEW)}, {as_setting(OLD)}"))
    ring = open_ring(Config([MainSettings(var_dir=tmp_path), settings]))

    assert ring.open(KeyRing(FixedKeys(OLD)).seal(b"old", about="here"), about="here") == b"old"
    assert RING.open(ring.seal(b"new", about="here"), about="here") == b"new"
    assert not ring.turns
    with pytest.raises(Misconfigured, match="OSSATURE_CRYPTO_KEYS"):
        ring.rotate()
    assert list(tmp_path.iterdir()) == []


def test_settings_that_cannot_work_are_refused_at_the_start(tmp_path: Path) -> None:
    environ = {"OSSATURE_VAR_DIR": str(tmp_path), "OSSATURE_CRYPTO_KEYS": "secret-that-is-no-ring"}

    with pytest.raises(SettingsRefused) as refused:
        Config.load([CryptoSettings], environ)

    assert "OSSATURE_CRYPTO_KEYS: is no key ring" in str(refused.value)
    assert "secret-that-is-no-ring" not in str(refused.value)


def test_machines_that_would_each_make_a_ring_of_their_own_are_warned_of(tmp_path: Path) -> None:
    environ = {"OSSATURE_VAR_DIR": str(tmp_path), "OSSATURE_HOSTS": "2"}
    lone = Config.examine([CryptoSettings], environ)[1]
    shared = Config.examine([CryptoSettings], environ | {"OSSATURE_CRYPTO_RING_FILE": "/srv/ring.json"})[1]

    assert [finding.setting for finding in lone] == ["OSSATURE_CRYPTO_KEYS"]
    assert shared == []
