"""The truth log: one JSON line for every message a relay took, written before the sender is told so."""

import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Received:
    """One accepted message. `size` is in octets, without dot-stuffing; `raw` only when bodies are kept."""

    recipients: tuple[str, ...]
    mail_from: str
    message_id: str
    subject: str
    size: int
    at: datetime
    server: str
    raw: bytes | None = field(default=None, repr=False, compare=False)

    def to_line(self) -> bytes:
        record = {
            "recipients": self.recipients,
            "mail_from": self.mail_from,
            "message_id": self.message_id,
            "subject": self.subject,
            "size": self.size,
            "at": self.at.isoformat(),
            "server": self.server,
        }
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Received":
        record = json.loads(line)
        return cls(
            recipients=tuple(record["recipients"]),
            mail_from=record["mail_from"],
            message_id=record["message_id"],
            subject=record["subject"],
            size=record["size"],
            at=datetime.fromisoformat(record["at"]),
            server=record["server"],
        )


class TruthLog:
    """Appends with one `os.write` a message: what was written survives a SIGKILL of this process."""

    def __init__(self, path: Path) -> None:
        self.count = _mend(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, received: Received) -> None:
        """Raises OSError when the disk is full; what was half written is taken back."""
        line = received.to_line()
        before = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
        except OSError:
            os.ftruncate(self._file, before)
            raise
        if written != len(line):
            os.ftruncate(self._file, before)
            raise OSError("the truth log could not be written whole")
        self.count += 1

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _mend(path: Path) -> int:
    """Cuts off a last line that was never finished, so never acknowledged. Returns the count of lines."""
    if not path.is_file():
        return 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.truncate(path, whole)
    return content.count(b"\n")


def read_truth(path: Path) -> list[Received]:
    """All messages a relay took, in order. A torn last line was never acknowledged and is left out."""
    if not path.exists():
        return []
    content = path.read_bytes()
    return [Received.from_line(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
