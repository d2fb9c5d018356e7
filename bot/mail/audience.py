"""Recipients from a CSV file, streamed: a million rows take the memory of one.

The file may be UTF-8, with or without a mark, or UTF-16 with a mark; separated by comma, semicolon, tab or
bar; with line ends of any system. A bad row is reported with its true line and skipped, never the file.
Doubles are not looked for here: the database's unique key finds them.
"""

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from bot.errors import BadInputError
from bot.mail.addresses import normalise_address, shown

MOST_COLUMNS: Final = 100
MOST_FIELD_CHARS: Final = 10_000
MOST_RECORD_LINES: Final = 200
_MOST_LINE_OCTETS: Final = 400_000
_CHUNK_OCTETS: Final = 1 << 17
_DELIMITERS: Final = ",;\t|"
_EMAIL_COLUMNS: Final = ("email", "mail", "emailaddress", "mailaddress", "address")
_RESERVED: Final = frozenset({"email", "unsubscribe_url"})


@dataclass(frozen=True, slots=True)
class Row:
    """A recipient. `line` counts from 1, `email` is normalised, `fields` are the other columns, trimmed."""

    line: int
    email: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was skipped; `reason` is a sentence."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str
    broken: bool = False


class Recipients:
    """The rows of one file, in order; made by `read_recipients`.

    `columns` are the names of the fields, as templates write them; `bytes_read` grows up to the file's size.
    """

    def __init__(self, stream: BinaryIO, *, owned: bool) -> None:
        self._stream = stream
        self._owned = owned
        self._size_read = 0
        self.columns: tuple[str, ...] = ()
        try:
            self._lines = _Lines(self._text())
            self._read_header()
        except BadInputError:
            self.close()
            raise

    @property
    def bytes_read(self) -> int:
        return self._size_read

    def close(self) -> None:
        """Close the file, when it was opened here."""
        if self._owned:
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Row | BadRow]:
        try:
            for line in self._lines:
                # Spreadsheets end a file with rows of nothing but separators.
                if line.broken or line.text.strip(" \r" + self._delimiter):
                    yield self._row(line)
        finally:
            self.close()

    def _row(self, line: _Line) -> Row | BadRow:
        try:
            cells = self._lines.record(line, self._delimiter)
            if len(cells) != self._width:
                cells = self._fitted(cells)
            email = normalise_address(cells[self._email_at])
        except BadInputError as error:
            return BadRow(line.number, str(error))
        return Row(line.number, email, {name: cells[at].strip() for at, name in self._fields})

    def _fitted(self, cells: list[str]) -> list[str]:
        """A row with empty cells too many is what spreadsheets write; any other width is a mistake."""
        if len(cells) > self._width and not any(cell.strip() for cell in cells[self._width :]):
            return cells[: self._width]
        advice = "Put quotes round values that hold the separator." if len(cells) > self._width else "Complete it."
        raise BadInputError(f"The row has {_columns(len(cells))} where the first line names {self._width}. {advice}")

    def _read_header(self) -> None:
        first = next((line for line in self._lines if line.text.strip() or line.broken), None)
        if first is None:
            raise BadInputError("The file is empty. It needs a first line that names its columns, one of them email.")
        readings = {mark: _header_cells(first, mark) for mark in _DELIMITERS}
        # The separator that shows an email column; among those the one that shows most columns.
        self._delimiter = max(
            readings, key=lambda mark: (_email_column(readings[mark]) is not None, len(readings[mark]))
        )
        names = readings[self._delimiter]
        email_at = _email_column(names)
        if first.broken or email_at is None:
            raise _no_email_column(first, names)
        if len(names) > MOST_COLUMNS:
            raise BadInputError(f"The file has {len(names)} columns; {MOST_COLUMNS} are possible. Leave some out.")
        self._width = len(names)
        self._email_at = email_at
        self._fields = _field_names(names, email_at)
        self.columns = tuple(name for _, name in self._fields)

    def _text(self) -> Iterator[bytes]:
        """The file in chunks of UTF-8; what cannot be read as text is not valid UTF-8 in it."""
        first = self._read()
        if first.startswith(b"PK\x03\x04"):
            raise BadInputError(
                "The file is a spreadsheet or archive, not a CSV. Open it, save it as CSV UTF-8 and try again."
            )
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            yield from self._from_utf16(first)
            return
        chunk = first.removeprefix(codecs.BOM_UTF8)
        if b"\0" in chunk[:4:2] or b"\0" in chunk[1:4:2]:
            raise BadInputError("The file seems to be UTF-16 without its mark. Save it as CSV UTF-8 and try again.")
        while chunk:
            yield chunk
            chunk = self._read()

    def _from_utf16(self, chunk: bytes) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
        while chunk:
            yield _as_utf8(decoder.decode(chunk))
            chunk = self._read()
        yield _as_utf8(decoder.decode(b"", final=True))

    def _read(self) -> bytes:
        """A whole chunk, or what is left: a pipe gives less at a time, and a line end may fall between."""
        chunk = bytearray()
        while len(chunk) < _CHUNK_OCTETS and (more := self._stream.read(_CHUNK_OCTETS - len(chunk))):
            chunk += more
            self._size_read += len(more)
        return bytes(chunk)


def read_recipients(source: str | Path | BinaryIO) -> Recipients:
    """The recipients in a CSV file or an open binary stream; a file is closed at the end of the iteration.

    BadInputError when the file cannot be opened or its first line does not name a column for the address
    (email, e-mail, mail or address, in any case). Everything later is a BadRow.
    """
    if not isinstance(source, str | Path):
        return Recipients(source, owned=False)
    try:
        stream = Path(source).open("rb")  # noqa: SIM115  # closed by Recipients, which outlives this function
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInputError(
            f'The file "{shown(str(source), 200)}" cannot be opened: {why}. Check its name and try again.'
        ) from error
    return Recipients(stream, owned=True)


class _Lines:
    """Physical lines with their numbers, some of which may be looked at and put back."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._source = _physical_lines(chunks)
        self._put_back: deque[_Line] = deque()

    def __iter__(self) -> Iterator[_Line]:
        return self

    def __next__(self) -> _Line:
        return self._put_back.popleft() if self._put_back else next(self._source)

    def record(self, line: _Line, delimiter: str) -> list[str]:
        """The cells of the record that begins at `line`; BadInputError when it is not sound."""
        if '"' not in line.text:
            _check_line(line)
            return _checked(line.text.split(delimiter))
        return _checked(self._quoted(line, delimiter))

    def _quoted(self, line: _Line, delimiter: str) -> list[str]:
        """Read on while a quote is open. A quote that never closes costs its own line, not those behind it."""
        taken: list[_Line] = []

        def feed() -> Iterator[str]:
            yield line.text + "\n"
            for following in self:
                taken.append(following)
                yield following.text + "\n"
                if len(taken) >= MOST_RECORD_LINES:
                    return

        try:
            cells = next(csv.reader(feed(), delimiter=delimiter, strict=True))
        except csv.Error as error:
            self._put_back.extendleft(reversed(taken))
            _check_line(line)
            raise BadInputError(_quote_reason(error)) from error
        for part in (line, *taken):
            _check_line(part)
        return cells


def _quote_reason(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "A quote opens in this row and does not close. Close it, or double it if it belongs to the value."
    if "field larger" in str(error):
        return f"A value is longer than {MOST_FIELD_CHARS:,} characters. Shorten it."
    if "new-line" in str(error):
        return "A line end in this row stands in a value without quotes. Put quotes round the value."
    return "A quote in this row stands in the middle of a value. Double it and put quotes round the value."


def _physical_lines(chunks: Iterator[bytes]) -> Iterator[_Line]:
    """Lines by LF or CRLF, or by CR where the file begins without any LF; over-long ones cut and broken."""
    number = 0
    rest = b""
    too_long = False
    end: bytes | None = None
    for chunk in chunks:
        if end is None:
            end = b"\r" if b"\n" not in chunk and b"\r" in chunk else b"\n"
        *lines, rest = (rest + chunk).split(end)
        for octets in lines:
            number += 1
            yield _line(number, octets, too_long=too_long)
            too_long = False
        if len(rest) > _MOST_LINE_OCTETS:
            rest, too_long = rest[:_CHUNK_OCTETS], True
    if rest:
        yield _line(number + 1, rest, too_long=too_long)


def _line(number: int, octets: bytes, *, too_long: bool) -> _Line:
    if too_long or len(octets) > _MOST_LINE_OCTETS:
        return _Line(number, "too long", broken=True)
    octets = octets.removesuffix(b"\r")
    try:
        return _Line(number, octets.decode())
    except UnicodeDecodeError:
        return _Line(number, octets.decode(errors="replace"), broken=True)


def _check_line(line: _Line) -> None:
    if not line.broken:
        if "\0" in line.text:
            raise BadInputError("The row holds a NUL character. Take it out.")
        return
    if line.text == "too long":
        raise BadInputError(
            f"The line is longer than {_MOST_LINE_OCTETS:,} bytes. Save the list as CSV, a recipient a line."
        )
    raise BadInputError(f'The row holds bytes that are not UTF-8: "{shown(line.text)}". Save the file as CSV UTF-8.')


def _checked(cells: list[str]) -> list[str]:
    if len(cells) > MOST_COLUMNS:
        raise BadInputError(f"The row has {len(cells)} columns; {MOST_COLUMNS} are possible.")
    if max(map(len, cells)) > MOST_FIELD_CHARS:
        raise BadInputError(f"A value is longer than {MOST_FIELD_CHARS:,} characters. Shorten it.")
    return cells


def _as_utf8(text: str) -> bytes:
    """UTF-8 in which a character that could not be read is an invalid byte, so that its line is found."""
    return text.encode().replace(b"\xef\xbf\xbd", b"\xff")


def _header_cells(line: _Line, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line.text], delimiter=delimiter))]
    except csv.Error:
        return [line.text]


def _email_column(names: Sequence[str]) -> int | None:
    plain = [re.sub(r"[^a-z]", "", name.lower()) for name in names]
    return next((plain.index(known) for known in _EMAIL_COLUMNS if known in plain), None)


def _field_names(names: Sequence[str], email_at: int) -> list[tuple[int, str]]:
    """Where each field stands and what templates call it: the column "First name" is {{ First_name }}."""
    fields: dict[str, int] = {}
    for at, name in enumerate(names):
        spelt = re.sub(r"\W+", "_", name).strip("_")
        if at == email_at or not spelt:
            continue
        spelt = f"_{spelt}" if spelt[0].isdigit() else spelt
        if spelt in fields or spelt in _RESERVED:
            raise BadInputError(
                f'The first line names "{shown(spelt)}" twice, or it is a name of Holdfast\'s own. Rename the column.'
            )
        fields[spelt] = at
    return [(at, name) for name, at in fields.items()]


def _no_email_column(line: _Line, names: Sequence[str]) -> BadInputError:
    if line.broken:
        return BadInputError(
            "The first line of the file cannot be read: it is too long or not UTF-8. Save the file as CSV UTF-8."
        )
    found = ", ".join(f'"{shown(name)}"' for name in names[:20])
    return BadInputError(
        f"No column of the file is called email, e-mail, mail or address. Its first line (line {line.number}) "
        f"names {_columns(len(names))}: {found}. Name the columns in the first line and try again."
    )


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"
