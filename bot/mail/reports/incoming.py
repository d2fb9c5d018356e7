"""Messages that a mail server hands over: on standard input, in files, or in a Maildir that it fills."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.errors import BadInputError
from bot.mail.reports.bounces import LARGEST


@dataclass(frozen=True)
class Incoming:
    """One of them. `done` is called when it was taken: in a Maildir it marks it as seen."""

    octets: bytes
    done: Callable[[], object] = lambda: None


def incoming(paths: Sequence[Path]) -> Iterator[Incoming]:
    """All messages of these files and folders; `-` is standard input. Raises BadInputError."""
    for path in paths:
        if str(path) == "-":
            yield Incoming(sys.stdin.buffer.read(LARGEST))
        elif (path / "new").is_dir():
            yield from _maildir(path)
        else:
            yield Incoming(_read(path))


def _maildir(folder: Path) -> Iterator[Incoming]:
    """What is new in it, oldest first: the names begin with the time (https://cr.yp.to/proto/maildir.html)."""
    (folder / "cur").mkdir(exist_ok=True)
    for path in sorted((folder / "new").iterdir()):
        yield Incoming(_read(path), partial(path.rename, folder / "cur" / f"{path.name}:2,S"))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}. Check its name and its permissions.") from error
