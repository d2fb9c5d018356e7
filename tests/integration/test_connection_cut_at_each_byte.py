"""A session of three messages is cut at each of its bytes, in both directions: every message ends in the right state.

The relay keeps the truth. What it took ends as delivered or unknown, so it is never sent again by itself; what may be
sent again certainly lacked its dot.
"""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.demo.faultproxy import Cut, Direction, FaultProxy
from bot.demo.relays import Profile, Relay
from bot.mail.connection import Connection, Endpoint, Lost
from bot.mail.replies import Outcome, judge
from bot.mail.transaction import Result
from tests.certificates import Certificate
from tests.sessions import SENDER, eventually

PROFILES = pytest.mark.parametrize(
    "profile",
    [Profile(), Profile(chunking=True), Profile(pipelining=False)],
    ids=["pipelined", "by-chunks", "step-by-step"],
)
BODY = b"Subject: hi\r\n\r\n..\r\n"
LARGE = b"Subject: hi\r\n\r\n" + b"0123456789abcdef\r\n" * 2_000
MESSAGES = 3
AT_ONCE = 20


@dataclass(frozen=True)
class Letter:
    sender: str
    recipient: str
    body: bytes


class Session:
    """The feed of one connection: what the ledger is told of each recipient, and whose dot was written.

    A state of None: the ledger is told nothing, the message waits as before.
    """

    def __init__(self, recipients: list[str], body: bytes) -> None:
        self.states: dict[str, Outcome | None] = dict.fromkeys(recipients)
        self.dots: set[str] = set()
        self.over = asyncio.Event()
        self._waiting = [Letter(SENDER, recipient, body) for recipient in reversed(recipients)]
        self._open = len(recipients)

    def next(self, *, ahead: bool) -> Letter | None:  # noqa: ARG002  the signature is a feed's
        return self._waiting.pop() if self._waiting else None

    def may_leave(self, letter: Letter) -> bool:
        self.dots.add(letter.recipient)
        return True

    def delivered(self, letter: Letter) -> None:
        self._end(letter, Outcome.delivered)

    def ended(self, letter: Letter, result: Result) -> None:
        assert result.sent == (letter.recipient in self.dots), "whether the dot left decides whether it may go again"
        self._end(letter, judge(result.stage, result.reply).outcome)

    def closed(self) -> None:
        self.over.set()

    def _end(self, letter: Letter, outcome: Outcome) -> None:
        assert self.states[letter.recipient] is None, "one message has one ending"
        self.states[letter.recipient] = outcome
        self._open -= 1
        if not self._open:
            self.over.set()


async def deliver(endpoint: Endpoint, recipients: list[str], body: bytes) -> Session:
    """Send to each over one connection, for as long as it lives."""
    session = Session(recipients, body)
    with contextlib.suppress(Lost):
        connection = await Connection.open(endpoint)
        connection.carry(session)
        await session.over.wait()
        await connection.close()
    return session


@dataclass
class Line:
    """From the sender to the relay, through a proxy for each session."""

    relay: Relay
    certificate: Certificate | None = None
    body: bytes = BODY
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def octets(self, direction: Direction) -> int:
        """How many go in this direction when nothing is cut."""
        async with FaultProxy("127.0.0.1", self.relay.port) as proxy:
            session = await deliver(self._endpoint(proxy), _names(0), self.body)
            assert set(session.states.values()) == {Outcome.delivered}
            return proxy.octets[direction]

    async def cut(self, cuts: list[Cut]) -> list[Session]:
        """A session for each; they are over when the relay has nobody left."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._one(number, cut)) for number, cut in enumerate(cuts, 1)]
        await eventually(lambda: not self.relay.connections)
        return [task.result() for task in running]

    async def _one(self, number: int, cut: Cut) -> Session:
        async with self._turns, FaultProxy("127.0.0.1", self.relay.port) as proxy:
            proxy.cut_each([cut])
            return await deliver(self._endpoint(proxy), _names(number), self.body)

    def _endpoint(self, proxy: FaultProxy) -> Endpoint:
        if self.certificate is None:
            return Endpoint("127.0.0.1", proxy.port, helo="me.example.com")
        context = self.certificate.client()
        return Endpoint("127.0.0.1", proxy.port, tls="starttls", context=context, helo="me.example.com")


def _names(number: int) -> list[str]:
    """Of one length, so that each session has the same octets."""
    return [f"r{number:05}-{n}@example.net" for n in range(MESSAGES)]


def _all_is_right(sessions: list[Session], relay: Relay) -> None:
    taken = Counter(recipient for message in relay.messages for recipient in message.recipients)
    assert set(taken.values()) == {1}
    for session in sessions:
        for recipient, state in session.states.items():
            if state is Outcome.delivered:
                assert taken[recipient], "the server did not take what counts as delivered"
            elif state is Outcome.unknown:
                assert recipient in session.dots, "what certainly lacked its dot is safe to send again"
            else:
                assert state in {None, Outcome.failed_temporary}
                assert not taken[recipient], "what the server took would be sent again"
        assert list(session.states.values()).count(Outcome.unknown) <= 1


def _everything_happened(sessions: list[Session]) -> None:
    """Cuts before, in and after each of the messages: otherwise the test would show nothing."""
    delivered = [list(session.states.values()).count(Outcome.delivered) for session in sessions]
    assert set(delivered) == set(range(MESSAGES + 1))
    for n in range(MESSAGES):
        ends = {list(session.states.values())[n] for session in sessions}
        assert ends == {None, Outcome.failed_temporary, Outcome.unknown, Outcome.delivered}, n


@PROFILES
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_every_byte(direction: Direction, profile: Profile) -> None:
    async with Relay(profile) as relay:
        line = Line(relay)
        octets = await line.octets(direction)
        # By RST and by FIN in turn; what is an even byte here is an odd one step by step.
        sessions = await line.cut([Cut(n, direction, reset=n % 2 == profile.pipelining) for n in range(octets)])
        _all_is_right(sessions, relay)
        _everything_happened(sessions)


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_many_a_byte_of_an_encrypted_session(direction: Direction, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "mx.example.com")
    async with Relay(Profile(tls=certificate.server())) as relay:
        line = Line(relay, certificate)
        octets = await line.octets(direction)
        sessions = await line.cut([Cut(n, direction, reset=n % 2 == 0) for n in range(0, octets, 17)])
        _all_is_right(sessions, relay)
        _everything_happened(sessions)


@PROFILES
async def test_the_end_of_a_message_that_is_written_in_two_parts(profile: Profile) -> None:
    async with Relay(profile) as relay:
        line = Line(relay, body=LARGE)
        each = (await line.octets("up")) // MESSAGES
        sessions = await line.cut([Cut(n, "up", reset=n % 4 == 0) for n in range(each - 40, each + 200, 2)])
        _all_is_right(sessions, relay)
        ends = {next(iter(session.states.values())) for session in sessions}
        assert ends == {Outcome.delivered, Outcome.unknown}
