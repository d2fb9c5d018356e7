"""What the wire makes of a server's octets, whatever they are and in whatever pieces they come."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from bot.mail.replies import Outcome, Stage, judge
from bot.mail.transaction import Features, Limits, Result
from bot.mail.wire import MAX_LINE, MAX_LINES, Wire

BODY = b"Subject: hello\r\n\r\nDear Ada,\r\n"
DOT = b"\r\n.\r\n"


class Listening(asyncio.Transport):
    """The server's ear: what was written to it, and whether the wire has hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = b""
        self.closed = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

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


class Heard(NamedTuple):
    """How a conversation ended: the result, None while the wire still waits; what it had said, and why it hung up."""

    result: Result | None
    said: bytes
    why_closed: str
    held: int
    """Octets that the wire kept at most of what it had been told."""


async def converse(pipelining: bool, answers: Iterable[Iterable[bytes]]) -> Heard:
    """One message. Each answer, in its pieces, comes when the wire has said something since the last one."""
    ear = Listening()
    wire = Wire(ear, Features(pipelining=pipelining, eight_bit=True), Limits())
    sending = wire.transmit("news@example.com", "ada@example.net", BODY, before_dot=lambda: True)
    held = said = 0
    for pieces in answers:
        if ear.closed or sending.done() or len(ear.heard) == said:
            break
        said = len(ear.heard)
        for piece in pieces:
            if not ear.closed:
                wire.data_received(piece)
            held = max(held, len(wire._rest) + sum(map(len, wire._lines)))
    result = sending.result() if sending.done() else None
    heard = Heard(result, ear.heard, wire.why_closed, held)
    wire.abort()
    wire.connection_lost(None)
    await sending
    return heard


def pieces(octets: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut into pieces of these sizes, over and over."""
    start = 0
    for size in cycle(sizes):
        if start >= len(octets):
            return
        yield octets[start : start + size]
        start += size


SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=8)
TEXTS = st.lists(st.binary(max_size=60).map(lambda text: text.replace(b"\n", b" ")), min_size=1, max_size=4)


@st.composite
def replies(draw: st.DrawFn, *good: int) -> bytes:
    """A reply that a server may give, of one line or several, with bare line feeds now and then."""
    code = draw(st.sampled_from([*good, *good, 421, 450, 451, 550, 554]))
    lines = draw(TEXTS)
    end = draw(st.sampled_from([b"\r\n", b"\n"]))
    marks = [b"-"] * (len(lines) - 1) + [b" "]
    return b"".join(b"%d%b%b%b" % (code, mark, line, end) for mark, line in zip(marks, lines, strict=True))


TALK = st.tuples(replies(250), replies(250, 251), replies(354), replies(250))


@given(TALK, SIZES, st.booleans())
def test_the_pieces_in_which_replies_come_change_nothing(
    talk: tuple[bytes, bytes, bytes, bytes], sizes: list[int], pipelining: bool
) -> None:
    *group, last = talk
    answers = [b"".join(group), last] if pipelining else list(talk)
    whole = asyncio.run(converse(pipelining, [[answer] for answer in answers]))
    cut = asyncio.run(converse(pipelining, [pieces(answer, sizes) for answer in answers]))
    assert cut.result == whole.result
    assert cut.said == whole.said
    assert cut.why_closed == whole.why_closed


@given(TALK, st.booleans())
def test_the_first_refusal_is_the_result_and_only_a_yes_to_the_dot_is_a_delivery(
    talk: tuple[bytes, bytes, bytes, bytes], pipelining: bool
) -> None:
    *group, last = talk
    heard = asyncio.run(converse(pipelining, [[b"".join(group)], [last]] if pipelining else [[one] for one in talk]))
    stages = (Stage.mail, Stage.rcpt, Stage.data, Stage.dot)
    refusals = [(stage, reply) for stage, reply in zip(stages, talk, strict=True) if reply[:1] in b"45"]
    stage, reply = refusals[0] if refusals else (Stage.dot, last)
    assert heard.result is not None
    assert heard.result.reply is not None
    assert (heard.result.stage, heard.result.reply.code) == (stage, int(reply[:3]))
    assert heard.result.sent == (stage is Stage.dot) == (DOT in heard.said)


ANYTHING = st.lists(st.one_of(st.binary(max_size=100), replies(250, 354)), max_size=8).map(b"".join)


@given(st.lists(st.tuples(ANYTHING, SIZES), max_size=5), st.booleans())
def test_no_octets_make_it_stumble_or_believe_what_was_not_said(
    answers: list[tuple[bytes, list[int]]], pipelining: bool
) -> None:
    heard = asyncio.run(converse(pipelining, [pieces(octets, sizes) for octets, sizes in answers]))
    result = heard.result
    if result is not None:
        assert result.sent == (DOT in heard.said)
        delivered = judge(result.stage, result.reply).outcome is Outcome.delivered
        assert not delivered or b"354" in b"".join(octets for octets, _ in answers)


@given(
    st.lists(st.sampled_from([b"250", b"354", b"-", b" ", b"\r\n", b"\n", b"\r", b"x" * 300, b"2"]), max_size=3_000),
    SIZES,
)
def test_what_never_ends_is_kept_in_bounds(parts: list[bytes], sizes: list[int]) -> None:
    heard = asyncio.run(converse(pipelining=True, answers=[pieces(b"".join(parts) * 20, sizes)]))
    assert heard.held <= MAX_LINE * (MAX_LINES + 1) + max(sizes)


@given(SIZES)
def test_a_line_or_a_reply_without_an_end_is_left(sizes: list[int]) -> None:
    for endless in (b"250-" + b"x" * 2 * MAX_LINE, b"250-more\r\n" * 2 * MAX_LINES):
        heard = asyncio.run(converse(pipelining=True, answers=[pieces(endless, sizes)]))
        assert heard.result is not None
        assert (heard.result.stage, heard.result.reply, heard.result.sent) == (Stage.mail, None, False)
        assert "more than" in heard.why_closed
