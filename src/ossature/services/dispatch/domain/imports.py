"""Bookings out of a file that somebody's program wrote: bytes to rows, each a booking or a list of what is wrong with it."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final, TypeVar

from ossature.kernel.errors import FieldError, InvalidInput
from ossature.services.dispatch.domain.bookings import Payer, Requirement, Wheelchair
from ossature.services.dispatch.domain.clocks import YEARS, LocalTimeAmbiguous, instant
from ossature.services.dispatch.domain.windows import TimeRule

COLUMNS: Final = (
    "external_id", "date", "time", "time_rule", "client_ref", "last_name", "first_name", "birth_date", "from", "to",
    "establishment_code", "seats", "wheelchair", "stretcher", "escorts", "return_time", "on_call", "payer", "notes",
    "phone",
)  # fmt: skip
ROWS_MOST: Final = 10_000
COLUMNS_MOST: Final = 200
CELL_MOST: Final = 300
_CELL_ENDLESS: Final = 20_000
_LENGTHS: Final = {
    "external_id": 100, "client_ref": 100, "last_name": 100, "first_name": 100, "phone": 40, "notes": 2_000,
}  # fmt: skip
"""Characters that a cell may have, where that is not `CELL_MOST`."""
# Control characters but tab and line ends, and overrides that make a text look like another (CVE-2021-42574).
_NOT_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_REQUIRED: Final = ("external_id", "date", "from", "to")
_YES, _NO = (
    frozenset({"1", "yes", "y", "true", "oui", "ja", "si", "x"}),
    frozenset({"", "0", "no", "n", "false", "non", "nein"}),
)

_T = TypeVar("_T")


class FileUnreadable(InvalidInput):
    """The file is no table of bookings: its encoding, its separator or its columns are not what is read here."""

    title = "File unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One trip that a row asks for. at: None for one that waits to be called in."""

    time_rule: TimeRule
    at: datetime | None
    origin: str
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A booking that a row asks for: the way there, and the way back if it wants one."""

    external_id: str
    day: date
    client_ref: str
    last_name: str
    first_name: str
    birth_date: date | None
    phone: str
    requirement: Requirement
    payer: Payer
    notes: str
    wishes: tuple[Wish, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRow:
    """A row of the file, counted as people count: the first one after the heading is 2."""

    number: int
    order: Order | None
    faults: tuple[FieldError, ...]


def read_csv(content: bytes, *, zone: str) -> list[ImportedRow]:
    """Every row of a CSV file. UTF-8 with or without a mark, or Windows-1252; separated by `;`, `,` or tab.

    Raises: FileUnreadable.
    """
    text = _decoded(content)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text))
    try:
        heading = [cell.strip().lower() for cell in next(rows, [])]
        _check_heading(heading)
        return _read_rows(rows, heading, zone)
    except csv.Error as error:
        raise FileUnreadable(f"Line {rows.line_num}: {error}.") from error


def _read_rows(rows: Iterator[Sequence[str]], heading: Sequence[str], zone: str) -> list[ImportedRow]:
    seen: dict[str, int] = {}
    found: list[ImportedRow] = []
    for number, row in enumerate(rows, 2):
        if not any(cell.strip() for cell in row):
            continue
        if max(map(len, row)) > _CELL_ENDLESS:
            raise FileUnreadable(
                f"Row {number} has a cell of more than {_CELL_ENDLESS} characters: is a quote not closed?"
            )
        if len(found) == ROWS_MOST:
            raise FileUnreadable(f"There are more than {ROWS_MOST} rows; so many are read at once.")
        found.append(_read_row(number, heading, row, seen=seen, zone=zone))
    return found


def template() -> str:
    """An empty file of the right shape, with one example."""
    example = {
        "external_id": "A-1001",
        "date": "2026-03-02",
        "time": "09:15",
        "time_rule": TimeRule.ARRIVE_BY.value,
        "last_name": "Example",
        "first_name": "Ada",
        "from": "1 Station Road",
        "to": "2 Hospital Street",
        "seats": "1",
        "return_time": "11:30",
        "payer": Payer.PATIENT.value,
    }
    told = io.StringIO()
    writer = csv.DictWriter(told, COLUMNS, delimiter=";", lineterminator="\r\n")
    writer.writeheader()
    writer.writerow(example)
    return told.getvalue()


def quoted(cell: str) -> str:
    """A cell as it may be written into a file: no program takes it for a formula."""
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t"} else cell


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise FileUnreadable("It is neither UTF-8 nor Windows-1252.")


def _separator(text: str) -> str:
    heading = text.splitlines()[0] if text.strip() else ""
    return max(";,\t", key=heading.count)


def _check_heading(heading: Sequence[str]) -> None:
    if not any(heading):
        raise FileUnreadable("It does not begin with a heading.")
    if len(heading) > COLUMNS_MOST:
        raise FileUnreadable(f"The heading has {len(heading)} columns; {COLUMNS_MOST} are read at most.")
    unknown = sorted({name for name in heading if name and name not in COLUMNS})
    lacking = [name for name in _REQUIRED if name not in heading]
    twice = sorted({name for name in heading if name and heading.count(name) > 1})
    faults = [
        *(FieldError(f"/heading/{name}", f"There is no column {name[:60]!r} here.", "unknown") for name in unknown),
        *(FieldError(f"/heading/{name}", "This column is missing.", "missing") for name in lacking),
        *(FieldError(f"/heading/{name}", "This column is there twice.", "duplicate") for name in twice),
    ]
    if faults:
        raise FileUnreadable("The heading does not fit; a template can be downloaded.", errors=faults)


def _read_row(
    number: int, heading: Sequence[str], row: Sequence[str], *, seen: dict[str, int], zone: str
) -> ImportedRow:
    named = {name: cell.strip() for name, cell in zip(heading, row, strict=False) if name}
    cells = _Cells(number, named, zone)
    external_id = cells.text("external_id", required=True)
    first = seen.setdefault(external_id, number)
    if external_id and first != number:
        cells.fault("external_id", f"Row {first} has this id already.", "duplicate")
    if len(row) > len(heading):
        cells.fault("external_id", "The row has more cells than the heading.", "too_long")
    order = cells.order(external_id)
    return ImportedRow(number=number, order=None if cells.faults else order, faults=tuple(cells.faults))


class _Cells:
    """The cells of one row; what is wrong with one of them is noted, and the reading goes on."""

    def __init__(self, number: int, cells: Mapping[str, str], zone: str) -> None:
        self._number = number
        self._cells = cells
        self._zone = zone
        self.faults: list[FieldError] = []

    def fault(self, column: str, message: str, code: str) -> None:
        """Note what is wrong, once."""
        found = FieldError(f"/rows/{self._number}/{column}", message, code)
        if found not in self.faults:
            self.faults.append(found)

    def text(self, column: str, *, required: bool = False) -> str:
        """A text, empty where there is none."""
        most = _LENGTHS.get(column, CELL_MOST)
        # Marks of letters in a bad order take the square of their number: what is far too long is not even put in order.
        found = unicodedata.normalize("NFC", self._cells.get(column, "")[: 4 * most + 1])
        if required and not found:
            self.fault(column, "This cell is empty.", "missing")
        if len(found) > most:
            self.fault(column, f"At most {most} characters.", "too_long")
        if _NOT_TEXT.search(found):
            self.fault(column, "Control characters are not allowed.", "control_characters")
        return found[:most]

    def order(self, external_id: str) -> Order | None:
        """The booking; None when something was wrong that leaves none."""
        day = self._read("date", _day, required=True, hint="a date such as 2026-03-02")
        wishes = tuple(self._wishes(day)) if day is not None else ()
        reference, last_name = self.text("client_ref"), self.text("last_name")
        if not reference and not last_name:
            self.fault("client_ref", "Name the client, by reference or by name.", "missing")
        if self.text("establishment_code"):
            self.fault("establishment_code", "There is no directory of establishments yet: write addresses.", "unknown")
        requirement = Requirement(
            passengers=self._count("seats", least=1, otherwise=1),
            wheelchair=self._read("wheelchair", _wheelchair, hint="none, manual or electric") or Wheelchair.NONE,
            stretcher=self._flag("stretcher"),
            escorts=self._count("escorts", least=0, otherwise=0),
        )
        payer = self._read("payer", Payer, hint="patient, clinic or insurer") or Payer.PATIENT
        if day is None:
            return None
        return Order(
            external_id=external_id,
            day=day,
            client_ref=reference,
            last_name=last_name,
            first_name=self.text("first_name"),
            birth_date=self._read("birth_date", date.fromisoformat, hint="a date such as 1950-03-02"),
            phone=self.text("phone"),
            requirement=requirement,
            payer=payer,
            notes=self.text("notes"),
            wishes=wishes,
        )

    def _wishes(self, day: date) -> Iterator[Wish]:
        there, back = self.text("from", required=True), self.text("to", required=True)
        rule = self._read("time_rule", TimeRule, hint=", ".join(TimeRule)) or TimeRule.ARRIVE_BY
        if rule is TimeRule.AS_SOON_AS_POSSIBLE:
            self.fault("time_rule", "A file waits until it is read: give a time.", "not_in_files")
        timed = rule in {TimeRule.ARRIVE_BY, TimeRule.PICK_UP_AT}
        at = self._instant("time", day, required=timed)
        yield Wish(time_rule=rule, at=at if timed else None, origin=there, destination=back)
        if self._flag("on_call"):
            yield Wish(time_rule=TimeRule.ON_CALL, at=None, origin=back, destination=there)
        elif self.text("return_time"):
            returns_at = self._instant("return_time", day, required=True)
            yield Wish(time_rule=TimeRule.PICK_UP_AT, at=returns_at, origin=back, destination=there)

    def _instant(self, column: str, day: date, *, required: bool) -> datetime | None:
        at = self._read(column, _time, required=required, hint="a time such as 09:15")
        if at is None:
            return None
        try:
            return instant(day, at, self._zone)
        except LocalTimeAmbiguous as error:
            self.fault(column, error.detail or error.title, error.slug)
            return None

    def _flag(self, column: str) -> bool:
        found = self.text(column).lower()
        if found not in _YES | _NO:
            self.fault(column, "Write yes or no.", "bool_parsing")
        return found in _YES

    def _count(self, column: str, *, least: int, otherwise: int) -> int:
        found = self._read(column, int, hint="a whole number")
        if found is None:
            return otherwise
        if not least <= found <= 8:
            self.fault(column, f"From {least} to 8.", "out_of_range")
            return otherwise
        return found

    def _read(self, column: str, parse: Callable[[str], _T], *, hint: str, required: bool = False) -> _T | None:
        found = self.text(column, required=required)
        if not found:
            return None
        try:
            return parse(found)
        except ValueError:
            self.fault(column, f"Write {hint}.", "value_error")
            return None


def _day(text: str) -> date:
    found = date.fromisoformat(text)
    if found.year not in YEARS:
        msg = f"{found.year} is far away"
        raise ValueError(msg)
    return found


def _time(text: str) -> time:
    found = time.fromisoformat(text)
    if found.tzinfo is not None:
        msg = "a time of day here, without an offset"
        raise ValueError(msg)
    return found


def _wheelchair(text: str) -> Wheelchair:
    low = text.lower()
    if low in _NO:
        return Wheelchair.NONE
    return Wheelchair.MANUAL if low in _YES else Wheelchair(low)
