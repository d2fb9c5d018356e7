"""Many messages on one connection: each leaves with the envelope of the next, and each ending finds its message."""

import asyncio
from dataclasses import dataclass, field

import pytest

from bot.demo.faultproxy import FaultProxy
from bot.demo.relays import Profile, Relay, reply
from bot.mail.connection import Connection
from bot.mail.replies import Reply, Stage
from bot.mail.transaction import Result
from tests.sessions import HASTY, SENDER, connected, eventually, scripted

CHUNKS = (b"mx.example.com", b"PIPELINING", b"CHUNKING")
TAKEN = Result(Stage.dot, Reply(250), sent=True)


@dataclass(eq=False)
class Letter:
    recipient: str
    body: bytes
    sender: str = SENDER


@dataclass
class Queue:
    """A feed of letters to p1, p2, ... that remembers what became of each, in order."""

    letters: int
    body: bytes = b"Subject: hello\r\n\r\nDear friend,\r\n..hidden\r\n"
    withheld: set[str] = field(default_factory=set)
    endings: list[tuple[str, Result]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    _given: int = 0

    def next(self, *, ahead: bool) -> Letter | None:  # noqa: ARG002  the signature is a feed's
        if self._given == self.letters:
            return None
        self._given += 1
        return Letter(f"p{self._given}@example.net", self.body)

    def may_leave(self, letter: Letter) -> bool:
        self.asked.append(letter.recipient)
        return letter.recipient not in self.withheld

    def delivered(self, letter: Letter) -> None:
        self.endings.append((letter.recipient, TAKEN))

    def ended(self, letter: Letter, result: Result) -> None:
        self.endings.append((letter.recipient, result))

    def closed(self) -> None:
        self.gone.set()

    @property
    def summary(self) -> list[str]:
        """Who, and the code or what else happened."""
        return [f"{who.partition('@')[0]} {_word(result)}" for who, result in self.endings]


def _word(result: Result) -> str:
    if result.withheld:
        return "withheld"
    if result.reply is None:
        return "unknown" if result.sent else "not sent"
    return f"{result.reply.code} at {result.stage}"


async def carry(connection: Connection, queue: Queue) -> Queue:
    connection.carry(queue)
    await eventually(lambda: len(queue.endings) >= queue.letters or queue.gone.is_set())
    return queue


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "step-by-step"])
async def test_all_arrive_once_and_in_order(pipelining: bool) -> None:
    async with Relay(Profile(pipelining=pipelining)) as relay, connected(relay.port) as connection:
        queue = await carry(connection, Queue(20))

        assert queue.summary == [f"p{n} 250 at dot" for n in range(1, 21)]
        assert [received.recipients for received in relay.messages] == [(f"p{n}@example.net",) for n in range(1, 21)]


async def test_a_text_leaves_with_the_next_envelope_in_one_write() -> None:
    one = b"MAIL FROM:<news@example.com>\r\nRCPT TO:<p1@example.net>\r\nDATA\r\n"
    two = one.replace(b"p1@", b"p2@")
    turns = ((b"DATA\r\n", b"250 ok\r\n250 ok\r\n354 go\r\n"), (b"", b""))
    async with scripted(*turns) as server, connected(server.port) as connection:
        queue = Queue(2, body=b"x\r\n")
        connection.carry(queue)
        await eventually(lambda: server.heard.endswith(one + b"x\r\n.\r\n" + two))
        assert queue.asked == ["p1@example.net"]
        connection.abort()
    assert queue.summary == ["p1 unknown", "p2 not sent"]


async def test_a_refused_recipient_costs_the_others_nothing() -> None:
    async with Relay() as relay, connected(relay.port) as connection:
        await relay.behave(reply("rcpt", 550, "5.1.1 no such user", times=1), reply("dot", 554, "5.7.1 spam", times=1))

        queue = await carry(connection, Queue(6))

        assert queue.summary[0] == "p1 550 at rcpt"
        assert sorted(queue.summary)[1:] == [
            "p2 554 at dot",
            "p3 250 at dot",
            "p4 250 at dot",
            "p5 250 at dot",
            "p6 250 at dot",
        ]
        assert relay.count == 4


async def test_421_after_a_text_ends_the_session_and_the_next_was_not_sent() -> None:
    async with Relay() as relay, connected(relay.port) as connection:
        await relay.behave(reply("dot", 421, "4.3.2 closing", close=True))

        queue = await carry(connection, Queue(3))

        assert queue.summary[:2] == ["p1 421 at dot", "p2 not sent"]
        assert relay.count == 0


async def test_a_lost_answer_leaves_one_unknown_however_many_wait() -> None:
    async with Relay() as relay, FaultProxy("127.0.0.1", relay.port) as proxy, connected(proxy.port, HASTY) as line:
        proxy.drop_replies_after_dot()

        queue = await carry(line, Queue(50))

        assert queue.summary == ["p1 unknown", "p2 not sent"]


async def test_withholding_hangs_up_where_data_was_said() -> None:
    async with Relay() as relay, connected(relay.port) as connection:
        queue = await carry(connection, Queue(5, withheld={"p3@example.net"}))

        assert queue.summary == ["p1 250 at dot", "p2 250 at dot", "p3 withheld"]
        await queue.gone.wait()
        assert relay.count == 2


# Where the server announces CHUNKING.

_ENVELOPE = b"250 ok\r\n250 ok\r\n"


async def test_by_chunks_a_text_is_not_stuffed_and_needs_no_data() -> None:
    turns = (
        (b"RCPT TO:<p1@example.net>\r\n", _ENVELOPE),
        (b"RCPT TO:<p2@example.net>\r\n", b"250 taken\r\n" + _ENVELOPE),
    )
    last = (b".hidden\r\n", b"250 taken\r\n")
    async with scripted(*turns, last, features=CHUNKS) as server, connected(server.port) as connection:
        assert not connection.wants.stuffed
        queue = await carry(connection, Queue(2, body=b"Dear friend,\r\n.hidden\r\n"))
        assert queue.summary == ["p1 250 at dot", "p2 250 at dot"]
    assert server.heard.count(b"BDAT 23 LAST\r\nDear friend,\r\n.hidden\r\nMAIL FROM:<news@example.com>\r\n") == 1
    assert b"DATA\r\n" not in server.heard


async def test_by_chunks_withholding_costs_a_reset_and_not_the_session() -> None:
    turns = (
        (b"RCPT TO:<p1@example.net>\r\n", _ENVELOPE),
        (b"RCPT TO:<p2@example.net>\r\n", b"250 reset\r\n" + _ENVELOPE),
        (b"BDAT 3 LAST\r\nx\r\n", b"250 taken\r\n"),
    )
    async with scripted(*turns, features=CHUNKS) as server, connected(server.port) as connection:
        queue = await carry(connection, Queue(2, body=b"x\r\n", withheld={"p1@example.net"}))
        assert queue.summary == ["p1 withheld", "p2 250 at dot"]
        assert connection.is_open
    assert b"RCPT TO:<p1@example.net>\r\nRSET\r\nMAIL FROM:" in server.heard


async def test_by_chunks_a_refused_recipient_gets_no_text() -> None:
    turns = (
        (b"RCPT TO:<p1@example.net>\r\n", b"250 ok\r\n550 5.1.1 no such user\r\n"),
        (b"RCPT TO:<p2@example.net>\r\n", b"250 reset\r\n" + _ENVELOPE),
        (b"BDAT 3 LAST\r\nx\r\n", b"250 taken\r\n"),
    )
    async with scripted(*turns, features=CHUNKS) as server, connected(server.port) as connection:
        queue = await carry(connection, Queue(2, body=b"x\r\n"))
        assert queue.summary == ["p1 550 at rcpt", "p2 250 at dot"]
    assert server.heard.count(b"BDAT") == 1


async def test_by_chunks_a_large_text_keeps_its_last_octets_until_the_rest_has_left() -> None:
    body = b"0123456789abcdef\r\n" * 100_000
    turn = (b"RCPT TO:<p1@example.net>\r\n", _ENVELOPE)
    async with scripted(turn, features=CHUNKS) as server, connected(server.port) as connection:
        queue = await carry(connection, Queue(1, body=body, withheld={"p1@example.net"}))
        assert queue.summary == ["p1 withheld"]
        assert not connection.is_open
    assert body not in server.heard
    assert body[:-2].endswith(server.heard.partition(b"LAST\r\n")[2][-10:])
