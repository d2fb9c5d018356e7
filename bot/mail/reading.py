"""A server's stream of octets, cut into replies: bounded, whatever it sends."""

from collections.abc import Iterator
from typing import Final

from bot.mail.transaction import excerpt

MAX_LINE: Final = 2048
"""Octets of one reply line; RFC 5321 4.5.3.1.5 allows 512, real servers exceed it."""
MAX_LINES: Final = 100
"""Lines of one reply."""


class NotAReplyError(Exception):
    """What came is not SMTP, in a sentence; nothing after it can be understood."""


class Replies:
    """Cuts what arrives in pieces of any size."""

    def __init__(self) -> None:
        self.rest = b""
        """The beginning of a line whose end has not come."""
        self._lines: list[bytes] = []

    def cut(self, data: bytes) -> Iterator[tuple[list[bytes], bool]]:
        """The whole replies in `data` and what came before it: the lines of each, and whether more octets follow it.

        Raises NotAReplyError.
        """
        data = self.rest + data
        size = len(data)
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            line = data[start:end]
            start = end + 1
            if self._ends_reply(line):
                lines, self._lines = self._lines, []
                yield lines, start < size
        self.rest = data[start:]
        if size - start > MAX_LINE:
            raise NotAReplyError(f"The server sent a reply line of more than {MAX_LINE} bytes.")

    def _ends_reply(self, line: bytes) -> bool:
        mark = line[3:4]
        if not 3 <= len(line) <= MAX_LINE or not line[:3].isdigit() or mark not in b" -\r":
            raise NotAReplyError(f"The server sent what is not an SMTP reply: {excerpt(line)}.")
        lines = self._lines
        if lines and lines[0][:3] != line[:3]:
            raise NotAReplyError(f"The server changed the code within one reply: {excerpt(line)}.")
        lines.append(line)
        if mark == b"-" and len(lines) >= MAX_LINES:
            raise NotAReplyError(f"The server sent a reply of more than {MAX_LINES} lines.")
        return mark != b"-"
