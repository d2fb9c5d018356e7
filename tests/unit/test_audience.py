"""A list of recipients is read row by row: a bad row is named and skipped, the file never fails for it."""

import csv
import io
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import BadInputError
from bot.mail.audience import BadRow, Recipients, Row, read_recipients


def read(data: bytes | str) -> list[Row | BadRow]:
    return list(recipients(data))


def recipients(data: bytes | str) -> Recipients:
    return read_recipients(io.BytesIO(data.encode() if isinstance(data, str) else data))


def bad(rows: list[Row | BadRow]) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in rows if isinstance(row, BadRow)]


def good(rows: list[Row | BadRow]) -> list[str]:
    return [row.email for row in rows if isinstance(row, Row)]


ANNA = Row(2, "anna@example.com", {"name": "Anna"})


def test_it_reads_the_address_and_the_other_columns() -> None:
    assert read("email,name\nanna@example.com,Anna\n") == [ANNA]


@pytest.mark.parametrize("column", ["email", "E-Mail", "EMAIL", "e-mail", "Mail", "address", " Email address "])
def test_it_finds_the_address_under_its_usual_names(column: str) -> None:
    assert read(f"name,{column}\nAnna,anna@example.com\n") == [ANNA]


def test_it_prefers_the_email_column_to_a_postal_address() -> None:
    rows = read("Address,Email\n1 Main Street,anna@example.com\n")
    assert rows == [Row(2, "anna@example.com", {"Address": "1 Main Street"})]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_it_sees_what_separates_the_columns(mark: str) -> None:
    assert read(f"email{mark}name\nanna@example.com{mark}Anna\n") == [ANNA]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_it_reads_the_encodings_of_spreadsheets(encoding: str) -> None:
    rows = read("email,name\r\nanna@example.com,Ånna 🎉\r\n".encode(encoding))
    assert rows == [Row(2, "anna@example.com", {"name": "Ånna 🎉"})]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_it_reads_the_line_ends_of_every_system(end: str) -> None:
    assert read(f"email,name{end}anna@example.com,Anna{end}") == [ANNA]


def test_it_reads_a_last_line_without_an_end() -> None:
    assert read("email,name\nanna@example.com,Anna") == [ANNA]


def test_it_keeps_true_line_numbers_behind_quoted_line_ends() -> None:
    rows = read('email,note\na@x.com,"two\nlines, and ""quotes"""\n\nb@x.com,plain\nnobody,x\n')
    assert rows[:2] == [
        Row(2, "a@x.com", {"note": 'two\nlines, and "quotes"'}),
        Row(5, "b@x.com", {"note": "plain"}),
    ]
    assert bad(rows)[0][0] == 6


def test_it_skips_a_row_with_broken_bytes_and_names_its_line() -> None:
    rows = read(b"email,name\na@x.com,Anna\nb@x.com,J\xf6rg\nc@x.com,Carl\n")
    assert good(rows) == ["a@x.com", "c@x.com"]
    [(line, reason)] = bad(rows)
    assert line == 3
    assert "not UTF-8" in reason


def test_it_skips_a_broken_row_in_utf_16_too() -> None:
    broken = "email\na@x.com\n".encode("utf-16-le") + b"\x00\xd8b\x00" + "@x.com\nc@x.com\n".encode("utf-16-le")
    rows = read(b"\xff\xfe" + broken)
    assert good(rows) == ["a@x.com", "c@x.com"]
    assert [line for line, _ in bad(rows)] == [3]


def test_a_quote_that_never_closes_costs_only_its_own_row() -> None:
    rows = read('email,name\na@x.com,"open\nb@x.com,Bert\n' + "c@x.com,Carl\n" * 300)
    assert len(good(rows)) == 301
    assert [line for line, _ in bad(rows)] == [2]
    assert "does not close" in bad(rows)[0][1]


def test_a_quote_in_the_middle_of_a_bare_value_is_part_of_it() -> None:
    assert read('email,size\na@x.com,5" disk\n') == [Row(2, "a@x.com", {"size": '5" disk'})]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a@x.com", "has 1 column where the first line names 2"),
        ("a@x.com,b,c", "has 3 columns where the first line names 2"),
        ("a@x.com,b\0c", "NUL"),
        ("a@x.com," + "x" * 10_001, "longer than 10,000"),
        ('a@x.com,"' + "x" * 10_001 + '"', "longer than 10,000"),
        ("a@x.com," + "x" * 2_000_000, "longer than 400,000 bytes"),
        ("a@x.com" + ",x" * 200, "200|201 columns"),
        (",Anna", "address is empty"),
        ("Anna <a@x.com>,b", "is not an email address"),
        ("a@x,b", "no dot"),
        ("a..b@x.com,b", "two periods"),
        ('a@x.com,"b"c', "middle of a value"),
    ],
)
def test_it_says_what_is_wrong_with_a_row_and_goes_on(row: str, reason: str) -> None:
    rows = read(f"email,name\n{row}\nlast@x.com,Last\n")
    assert good(rows) == ["last@x.com"]
    [(line, sentence)] = bad(rows)
    assert line == 2
    assert re.search(reason, sentence)
    assert sentence.endswith(".")


def test_it_forgives_the_empty_cells_and_rows_that_spreadsheets_add() -> None:
    assert read("email,name\nanna@example.com,Anna,,\n,\n\n") == [ANNA]


def test_it_normalises_addresses_but_keeps_the_local_part() -> None:
    rows = read("email\n Anna.B@EXAMPLE.Com \njoe@bücher.example\njosé@example.com\n")
    assert good(rows) == ["Anna.B@example.com", "joe@xn--bcher-kva.example", "josé@example.com"]


def test_it_lets_templates_name_any_column() -> None:
    audience = recipients("email,First name,2nd,,Größe\na@x.com,Anna,b,c,XL\n")
    assert audience.columns == ("First_name", "_2nd", "Größe")
    assert list(audience) == [Row(2, "a@x.com", {"First_name": "Anna", "_2nd": "b", "Größe": "XL"})]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"name,phone\nAnna,1\n", '2 columns: "name", "phone"'),
        (b"anna@example.com\n", '1 column: "anna@example.com"'),
        (b"PK\x03\x04rest", "spreadsheet"),
        ("email\na@x.com\n".encode("utf-16-le"), "UTF-16 without its mark"),
        (b"email," + b",".join(b"c%d" % n for n in range(120)) + b"\n", "121 columns"),
        (b"email,name,name\n", "twice"),
        (b"email,unsubscribe_url\n", "Holdfast's own"),
        (b"email,J\xf6rg\n", "first line"),
    ],
)
def test_it_refuses_a_file_without_a_usable_first_line(data: bytes, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        read(data)


def test_it_says_that_a_file_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be opened: No such file"):
        read_recipients(tmp_path / "nowhere.csv")
    with pytest.raises(BadInputError, match="cannot be opened"):
        read_recipients(tmp_path)


def test_it_closes_the_file_that_it_opened(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("email\na@x.com\nb@x.com\n")
    with read_recipients(file) as audience:
        assert next(iter(audience)) == Row(2, "a@x.com", {})
        assert audience.bytes_read == file.stat().st_size


class Endless(io.RawIOBase):
    """A file of many rows that takes no memory of its own."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._left: Iterator[bytes] = iter([b"email,name\n", *([b"anna@example.com,Anna\n" * 1000] * (rows // 1000))])
        self.size = 0

    def read(self, _size: int = -1, /) -> bytes:
        piece = next(self._left, b"")
        self.size += len(piece)
        return piece


def test_a_long_file_streams_in_constant_memory_and_tells_its_progress() -> None:
    source = Endless(100_000)
    audience = read_recipients(cast("BinaryIO", source))
    seen = 0
    tracemalloc.start()
    for row in audience:
        assert isinstance(row, Row)
        seen += 1
        if seen == 50_000:
            assert 0 < audience.bytes_read < 100_000 * 22
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == 100_000
    assert audience.bytes_read == source.size
    assert peak < 5_000_000


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff\r"), max_size=30)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=8), st.sampled_from(",;\t|"))
def test_it_reads_back_what_a_csv_writer_wrote(values: list[tuple[str, str]], mark: str) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=mark)
    writer.writerow(["email", "one", "two"])
    for number, pair in enumerate(values):
        writer.writerow([f"r{number}@example.com", *pair])
    rows = read(written.getvalue())
    assert not bad(rows)
    assert [tuple(row.fields.values()) for row in rows if isinstance(row, Row)] == [
        (one.strip(), two.strip()) for one, two in values
    ]


@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_it_fail_otherwise_than_in_sentences(noise: bytes) -> None:
    try:
        rows = read(b"email,name\n" + noise + b"\n")
    except BadInputError:
        return
    assert all(row.line >= 2 for row in rows)
