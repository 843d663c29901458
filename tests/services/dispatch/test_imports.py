"""Files of bookings: what is read out of them, and what is said about the rows that are wrong."""

from datetime import UTC, date, datetime

import pytest

from ossature.services.dispatch.domain.bookings import Payer, Wheelchair
from ossature.services.dispatch.domain.imports import FileUnreadable, quoted, read_csv, template
from ossature.services.dispatch.domain.windows import TimeRule

ZONE = "Europe/Zurich"
HEADING = "external_id;date;time;last_name;from;to;wheelchair;return_time;on_call"


def test_the_template_is_read_as_a_booking_there_and_back() -> None:
    (row,) = read_csv(template().encode(), zone=ZONE)

    assert not row.faults
    assert row.order is not None
    assert (row.number, row.order.external_id, row.order.day) == (2, "A-1001", date(2026, 3, 2))
    assert row.order.payer is Payer.PATIENT
    there, back = row.order.wishes
    assert (there.time_rule, there.at) == (TimeRule.ARRIVE_BY, datetime(2026, 3, 2, 8, 15, tzinfo=UTC))
    assert (back.time_rule, back.at) == (TimeRule.PICK_UP_AT, datetime(2026, 3, 2, 10, 30, tzinfo=UTC))
    assert (back.origin, back.destination) == (there.destination, there.origin)


@pytest.mark.parametrize("separator", [";", ",", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_separator_and_encoding_are_found_out(separator: str, encoding: str) -> None:
    text = f"{HEADING}\r\n1;2026-03-02;09:15;Müller;Bâle;Genève;ja;;\r\n".replace(";", separator)

    (row,) = read_csv(text.encode(encoding), zone=ZONE)

    assert row.order is not None
    assert row.order.last_name == "Müller"
    assert row.order.requirement.wheelchair is Wheelchair.MANUAL


def test_a_return_on_call_waits_to_be_called_in() -> None:
    (row,) = read_csv(f"{HEADING}\n1;2026-03-02;09:15;A;X;Y;;;yes".encode(), zone=ZONE)

    assert row.order is not None
    assert [wish.time_rule for wish in row.order.wishes] == [TimeRule.ARRIVE_BY, TimeRule.ON_CALL]


def test_every_fault_of_every_row_is_said_at_once_with_its_row_and_column() -> None:
    rows = read_csv(
        f"{HEADING}\n;2026-13-02;25:00;;;Y;perhaps;;\n2;2026-03-29;02:30;A;X;Y;;;\n2;2026-03-02;09:00;A;X;Y;;;".encode(),
        zone=ZONE,
    )

    found = {fault.pointer: fault.code for row in rows for fault in row.faults}
    assert found == {
        "/rows/2/external_id": "missing",
        "/rows/2/date": "value_error",
        "/rows/2/client_ref": "missing",
        "/rows/2/wheelchair": "value_error",
        "/rows/3/time": "local-time-ambiguous",
        "/rows/4/external_id": "duplicate",
    }
    assert [row.order for row in rows] == [None, None, None]


def test_a_formula_is_text_and_is_quoted_when_it_is_written() -> None:
    (row,) = read_csv(f"{HEADING}\n1;2026-03-02;09:15;=1+1;X;Y;;;".encode(), zone=ZONE)

    assert row.order is not None
    assert row.order.last_name == "=1+1"
    assert quoted("=1+1") == "'=1+1"
    assert quoted("1 Station Road") == "1 Station Road"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"external_id;date;from\n",
        b"external_id;date;from;to;colour\n",
        b"external_id;date;from;to;to\n",
        b"\xff\xfe\x00a",
        b"\r\n",
        b'external_id;date;from;to\n"' + b"x" * 200_000,
        b"external_id;date;from;to;" + b";" * 200,
    ],
)
def test_a_file_that_is_no_table_of_bookings_is_refused_whole(content: bytes) -> None:
    with pytest.raises(FileUnreadable):
        read_csv(content, zone=ZONE)


@pytest.mark.parametrize(
    ("heading", "cell", "code"),
    [
        ("time", "09:15+02:00", "value_error"),
        ("time", "09:15\x07", "control_characters"),
        ("time_rule", "as_soon_as_possible", "not_in_files"),
        ("establishment_code", "GE-1", "unknown"),
        ("phone", "0" * 41, "too_long"),
        ("last_name", "e\u0316\u0301" * 3_000, "too_long"),
        ("date", "9999-12-31", "value_error"),
        ("date", "0001-01-01", "value_error"),
    ],
)
def test_what_cannot_be_meant_is_said(heading: str, cell: str, code: str) -> None:
    cells = {"external_id": "1", "date": "2026-03-02", "time": "09:15", "last_name": "A", "from": "X", "to": "Y"}
    cells[heading] = cell

    (row,) = read_csv(f"{';'.join(cells)}\n{';'.join(cells.values())}".encode(), zone=ZONE)

    assert code in {fault.code for fault in row.faults if fault.pointer == f"/rows/2/{heading}"}


def test_a_letter_and_its_marks_are_one_however_they_were_written() -> None:
    (row,) = read_csv(f"{HEADING}\n1;2026-03-02;09:15;Mu\u0308ller;X;Y;;;".encode(), zone=ZONE)

    assert row.order is not None
    assert row.order.last_name == "M\u00fcller"


def test_ten_thousand_and_one_rows_are_too_many() -> None:
    rows = "\n".join(f"{n};2026-03-02;09:15;A;X;Y;;;" for n in range(10_001))

    with pytest.raises(FileUnreadable, match="more than 10000"):
        read_csv(f"{HEADING}\n{rows}".encode(), zone=ZONE)
