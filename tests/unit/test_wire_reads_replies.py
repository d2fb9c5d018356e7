"""What the wire makes of a server's octets, whatever they are and in whatever pieces they come."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from bot.mail.reading import MAX_LINE, MAX_LINES
from bot.mail.replies import Outcome, Reply, Stage, judge
from bot.mail.transaction import Features, Limits, Result
from bot.mail.wire import Wire

STEPS = Features()
PIPELINED = Features(pipelining=True)
CHUNKS = Features(pipelining=True, chunking=True)
DOT = b"\r\n.\r\n"


@dataclass(frozen=True)
class Letter:
    recipient: str
    sender: str = "news@example.com"
    body: bytes = b"Subject: hello\r\n\r\nDear Ada,\r\n"


class Letters:
    """Two messages, and how they ended."""

    def __init__(self) -> None:
        self.waiting = [Letter("bob@example.net"), Letter("ada@example.net")]
        self.left: list[Letter] = []
        self.endings: list[tuple[Letter, Result]] = []

    def next(self, *, ahead: bool) -> Letter | None:  # noqa: ARG002  the signature is a feed's
        return self.waiting.pop() if self.waiting else None

    def may_leave(self, letter: Letter) -> bool:
        self.left.append(letter)
        return True

    def delivered(self, letter: Letter) -> None:
        self.ended(letter, Result(Stage.dot, Reply(250), sent=True))

    def ended(self, letter: Letter, result: Result) -> None:
        self.endings.append((letter, result))

    def closed(self) -> None:
        """They have all ended by then."""


class Ear(asyncio.Transport):
    """The server's: what was written to it, and whether the wire has hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = b""
        self.closed = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Whoever feeds the wire knows it already."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Everything is taken at once."""

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.heard += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class Talk(NamedTuple):
    """A server's replies to the commands of one message."""

    mail: bytes
    rcpt: bytes
    data: bytes
    dot: bytes


class Server:
    """Gives each command the reply that was drawn for it."""

    def __init__(self, talks: list[Talk]) -> None:
        self._talks = iter(talks)
        self._talk = talks[0]
        self._unread = b""
        self._text: int | None = None
        """Octets of the chunk that comes; 0 for a text that ends with a dot."""

    def answer(self, octets: bytes) -> bytes:
        self._unread += octets
        said = b""
        while (reply := self._next()) is not None:
            said += reply
        return said

    def _size(self) -> int:
        """Octets of what was said next, 0 while it is not whole."""
        if self._text:
            return self._text if len(self._unread) >= self._text else 0
        end = b"\r\n" if self._text is None else DOT
        found = self._unread.find(end)
        return found + len(end) if found >= 0 else 0

    def _next(self) -> bytes | None:
        """The reply to the next thing that was said whole."""
        size = self._size()
        if not size:
            return None
        said, self._unread = self._unread[:size], self._unread[size:]
        if self._text is not None:
            self._text = None
            return self._talk.dot
        match said[:4]:
            case b"MAIL":
                self._talk = next(self._talks)
                return self._talk.mail
            case b"RCPT":
                return self._talk.rcpt
            case b"DATA":
                self._text = 0 if self._talk.data[:1] == b"3" else None
                return self._talk.data
            case b"BDAT":
                self._text = int(said.split()[1])
                return b""
        return b"250 reset\r\n"


class Heard(NamedTuple):
    """How a conversation went, as far as it got."""

    letters: Letters
    endings: list[tuple[Letter, Result]]
    said: bytes
    why_closed: str
    held: int
    """Octets that the wire kept at most of what it had been told."""


async def converse(features: Features, server: Server | Iterable[bytes], sizes: list[int] | None = None) -> Heard:
    """Until the server, or the octets that stand for one, has no more to say. `sizes`: of the pieces, over and over."""
    ear, letters = Ear(), Letters()
    wire = Wire(ear, features, Limits())
    wire.feed(letters)
    held = heard = 0
    answers = iter(server) if not isinstance(server, Server) else None
    while not ear.closed:
        new, heard = ear.heard[heard:], len(ear.heard)
        answer = server.answer(new) if isinstance(server, Server) else next(answers or iter(()), b"")
        if not answer:
            break
        for piece in pieces(answer, sizes or [len(answer)]):
            if not ear.closed:
                wire.data_received(piece)
            held = max(held, len(wire._replies.rest) + sum(map(len, wire._replies._lines)))
    found = Heard(letters, list(letters.endings), ear.heard, wire.why_closed, held)
    wire.abort()
    wire.connection_lost(None)
    assert len({letter.recipient for letter, _ in letters.endings}) == len(letters.endings), "one has one ending"
    return found


def pieces(octets: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in cycle(sizes):
        if start >= len(octets):
            return
        yield octets[start : start + size]
        start += size


SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=8)
FEATURES = st.sampled_from([STEPS, PIPELINED, CHUNKS])
TEXTS = st.lists(st.binary(max_size=60).map(lambda text: text.replace(b"\n", b" ")), min_size=1, max_size=4)


@st.composite
def replies(draw: st.DrawFn, *good: int) -> bytes:
    """A reply that a server may give, of one line or several, with bare line feeds now and then."""
    code = draw(st.sampled_from([*good * 12, 421, 450, 451, 550, 554]))
    lines = draw(TEXTS)
    end = draw(st.sampled_from([b"\r\n", b"\r\n", b"\n"]))
    marks = [b"-"] * (len(lines) - 1) + [b" "]
    return b"".join(b"%d%b%b%b" % (code, mark, line, end) for mark, line in zip(marks, lines, strict=True))


TALKS = st.lists(st.builds(Talk, replies(250), replies(250, 251), replies(354), replies(250)), min_size=2, max_size=2)
ANYTHING = st.lists(st.one_of(st.binary(max_size=100), replies(250, 354)), max_size=8).map(b"".join)


@given(FEATURES, TALKS, SIZES)
def test_the_pieces_in_which_replies_come_change_nothing(
    features: Features, talks: list[Talk], sizes: list[int]
) -> None:
    whole = asyncio.run(converse(features, Server(talks)))
    cut = asyncio.run(converse(features, Server(talks), sizes))
    assert [(letter, _judged(result)) for letter, result in cut.endings] == [
        (letter, _judged(result)) for letter, result in whole.endings
    ]
    assert cut.said == whole.said
    assert cut.why_closed == whole.why_closed


@given(FEATURES, TALKS, SIZES)
def test_the_first_refusal_is_the_result_and_only_a_yes_to_the_end_is_a_delivery(
    features: Features, talks: list[Talk], sizes: list[int]
) -> None:
    heard = asyncio.run(converse(features, Server(talks), sizes))
    for (letter, result), talk in zip(heard.letters.endings, talks, strict=False):
        asked = [(Stage.mail, talk.mail), (Stage.rcpt, talk.rcpt), (Stage.data, talk.data), (Stage.dot, talk.dot)]
        if features.chunking:
            asked.pop(2)
        expected = next(((stage, reply) for stage, reply in asked if reply[:1] in b"45"), asked[-1])
        if result.reply is not None:
            assert (result.stage, result.reply.code) == (expected[0], int(expected[1][:3]))
        else:
            assert heard.why_closed, "only who was cut off has no reply"
        assert result.sent == (letter in heard.letters.left)
    assert heard.letters.endings[0][1].reply is not None


@given(FEATURES, st.lists(ANYTHING, max_size=6), SIZES)
def test_no_octets_make_it_stumble_or_believe_what_was_not_said(
    features: Features, answers: list[bytes], sizes: list[int]
) -> None:
    heard = asyncio.run(converse(features, answers, sizes))
    for letter, result in heard.letters.endings:
        assert result.sent == (letter in heard.letters.left)
        if judge(result.stage, result.reply).outcome is Outcome.delivered:
            assert result.sent
            assert b"250" in b"".join(answers)
    assert len(heard.letters.left) == heard.said.count(DOT) + heard.said.count(b"BDAT ")


@given(
    FEATURES,
    st.lists(st.sampled_from([b"250", b"354", b"-", b" ", b"\r\n", b"\n", b"\r", b"x" * 300, b"2"]), max_size=3_000),
    SIZES,
)
def test_what_never_ends_is_kept_in_bounds(features: Features, parts: list[bytes], sizes: list[int]) -> None:
    heard = asyncio.run(converse(features, [b"".join(parts) * 20], sizes))
    assert heard.held <= MAX_LINE * (MAX_LINES + 1) + max(sizes)


@given(FEATURES, SIZES)
def test_a_line_or_a_reply_without_an_end_is_left(features: Features, sizes: list[int]) -> None:
    for endless in (b"250-" + b"x" * 2 * MAX_LINE, b"250-more\r\n" * 2 * MAX_LINES):
        heard = asyncio.run(converse(features, [endless], sizes))
        assert [(result.stage, result.reply, result.sent) for _, result in heard.endings] == [(Stage.mail, None, False)]
        assert "more than" in heard.why_closed


def _judged(result: Result) -> tuple[Stage, int | None, bool, Outcome]:
    """A plain 250 is told without its text when it comes in one piece with the others."""
    return result.stage, result.reply.code if result.reply else None, result.sent, judge(*result[:2]).outcome
