"""Each way a relay can be wrong, seen from a plain socket or an ordinary client."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiosmtplib
import pytest

from bot.demo.relays import (
    Fault,
    Profile,
    Relay,
    Stage,
    cut,
    endless,
    garbage,
    goodbye,
    hang,
    refuse,
    reply,
    slow,
)
from bot.demo.relays.faults import Faults, faults_from_json
from tests.certificates import Certificate

ENVELOPE = b"EHLO me\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
MESSAGE = ENVELOPE + b"Subject: hi\r\n\r\nhi\r\n.\r\n"
STAGES: list[tuple[Stage, bytes]] = [
    ("greeting", b""),
    ("ehlo", b"EHLO me\r\n"),
    ("mail", b"EHLO me\r\nMAIL FROM:<a@example.com>\r\n"),
    ("rcpt", b"EHLO me\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n"),
    ("data", ENVELOPE),
    ("dot", MESSAGE),
]


@asynccontextmanager
async def line_to(relay: Relay) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def talk(relay: Relay, said: bytes) -> list[str]:
    """The codes of all answers until the relay closes."""
    async with line_to(relay) as (reader, writer):
        writer.write(said)
        lines = (await reader.read()).decode().split("\r\n")[:-1]
    return [line[:3] for line in lines if line[3] == " "]


async def is_silent(reader: asyncio.StreamReader) -> bool:
    """True when nothing comes; a relay on the same loop answers well within this time."""
    try:
        async with asyncio.timeout(0.1):
            await reader.readline()
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize(("stage", "said"), STAGES)
async def test_it_answers_with_the_code_it_was_told_at_each_stage(stage: Stage, said: bytes) -> None:
    async with Relay() as relay:
        await relay.behave(reply(stage, 452, "4.3.1 Insufficient system storage"))
        answers = await talk(relay, said + b"QUIT\r\n")
        assert answers[-2:] == ["452", "221"] if stage != "data" else "452" in answers
        assert relay.messages == []


@pytest.mark.parametrize(("stage", "said"), STAGES)
@pytest.mark.parametrize("reset", [False, True])
async def test_it_cuts_the_connection_at_each_stage(stage: Stage, said: bytes, reset: bool) -> None:
    async with Relay() as relay:
        await relay.behave(cut(stage, reset=reset))
        async with line_to(relay) as (reader, writer):
            writer.write(said)
            try:
                answer = await reader.read()
                assert not reset
                assert not answer.endswith(b"Taken\r\n")
            except ConnectionResetError:
                assert reset
        assert relay.messages == []


@pytest.mark.parametrize(("stage", "said"), STAGES)
async def test_it_falls_silent_at_each_stage(stage: Stage, said: bytes) -> None:
    async with Relay() as relay:
        await relay.behave(hang(stage))
        async with line_to(relay) as (reader, writer):
            writer.write(said)
            for _ in range({"greeting": 0, "ehlo": 1, "mail": 7, "rcpt": 8, "data": 9, "dot": 10}[stage]):
                await reader.readline()
            assert await is_silent(reader)
            assert relay.connections == 1
        assert relay.messages == []


@pytest.mark.parametrize("fault", [cut("dot", accepted=True), hang("dot", accepted=True)])
async def test_it_can_take_the_message_and_never_say_so(fault: Fault, tmp_path: Path) -> None:
    async with Relay(log=tmp_path / "truth") as relay:
        await relay.behave(fault)
        async with line_to(relay) as (reader, writer):
            writer.write(MESSAGE)
            await relay.wait_for(1)
            await relay.disconnect(reset=False)
            assert b"Taken" not in await reader.read()


async def test_it_cuts_in_the_middle_of_a_message() -> None:
    async with Relay() as relay:
        await relay.behave(cut("body"))
        assert (await talk(relay, ENVELOPE + b"Subject: hi\r\n"))[-1] == "354"
        assert relay.messages == []


async def test_it_refuses_connections_and_comes_back_on_the_same_port() -> None:
    async with Relay() as relay:
        port = relay.port
        async with line_to(relay) as (reader, _):
            await reader.readline()
            await relay.behave(refuse())
            with pytest.raises(ConnectionResetError):
                await reader.read()
        with pytest.raises(OSError, match=str(errno.ECONNREFUSED)):
            await asyncio.open_connection("127.0.0.1", port)

        await relay.heal()

        assert relay.port == port
        assert (await talk(relay, b"QUIT\r\n")) == ["220", "221"]


async def test_it_says_goodbye_at_any_moment() -> None:
    async with Relay() as relay, line_to(relay) as (reader, _):
        await reader.readline()
        await relay.behave(goodbye("4.3.2 going down"))
        assert await reader.read() == b"421 4.3.2 going down\r\n"
        assert await talk(relay, b"") == ["421"]


async def test_it_answers_late() -> None:
    async with Relay() as relay:
        await relay.behave(slow("ehlo", timedelta(seconds=0.2)))
        async with line_to(relay) as (reader, writer):
            await reader.readline()
            writer.write(b"EHLO me\r\nNOOP\r\nQUIT\r\n")
            assert await is_silent(reader)
            lines = (await reader.read()).splitlines()
            assert lines[0] == b"250-relay"
            assert lines[-1].startswith(b"221")


async def test_it_takes_a_message_before_it_answers_late() -> None:
    async with Relay() as relay:
        await relay.behave(slow("dot", timedelta(hours=1)))
        async with line_to(relay) as (_, writer):
            writer.write(MESSAGE)
            await relay.wait_for(1)


async def test_it_sends_garbage_instead_of_a_handshake(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "localhost")
    async with Relay(Profile(tls=certificate.server())) as relay:
        await relay.behave(garbage())
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=relay.port, start_tls=True, tls_context=certificate.client()
        )
        with pytest.raises((aiosmtplib.SMTPException, OSError)):
            await client.connect()
        client.close()


async def test_it_sends_a_line_without_end() -> None:
    async with Relay() as relay:
        await relay.behave(endless("ehlo"))
        async with line_to(relay) as (reader, writer):
            await reader.readline()
            writer.write(b"EHLO me\r\n")
            assert (await reader.readexactly(100_000)).startswith(b"250-xxx")


async def test_it_answers_in_several_lines() -> None:
    async with Relay() as relay:
        await relay.behave(reply("mail", 550, "5.7.1 Not today\n5.7.1 Ask the postmaster"))
        async with line_to(relay) as (reader, writer):
            writer.write(b"EHLO me\r\nMAIL FROM:<a@example.com>\r\nQUIT\r\n")
            assert b"\r\n550-5.7.1 Not today\r\n550 5.7.1 Ask the postmaster\r\n221" in await reader.read()


async def test_it_changes_only_the_words_of_a_success() -> None:
    async with Relay() as relay:
        await relay.behave(reply("dot", 250, "2.0.0 queued as 7F3A"))
        async with line_to(relay) as (reader, writer):
            writer.write(MESSAGE + b"QUIT\r\n")
            assert b"250 2.0.0 queued as 7F3A\r\n221" in await reader.read()
        assert relay.count == 1


async def test_it_strikes_chosen_recipients_only() -> None:
    async with Relay() as relay:
        await relay.behave(reply("rcpt", 550, "5.1.1 No such user", recipients=frozenset({"b@example.com"})))
        answers = await talk(
            relay,
            b"EHLO me\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nQUIT\r\n",
        )
        assert answers[-3:] == ["550", "250", "221"]


def _struck(fault: Fault, chances: int) -> list[int]:
    faults = Faults()
    faults.arm([fault])
    return [chance for chance in range(1, chances + 1) if faults.strike("dot")]


def test_it_strikes_every_third_after_the_first_ten_but_only_twice() -> None:
    assert _struck(reply("dot", 451, "4.3.0 try later", after=10, every=3, times=2), 40) == [13, 16]


def test_it_strikes_the_same_share_with_the_same_seed() -> None:
    struck = _struck(reply("dot", 451, "4.3.0 try later", share=0.3, seed=7), 1000)
    assert struck == _struck(reply("dot", 451, "4.3.0 try later", share=0.3, seed=7), 1000)
    assert 240 < len(struck) < 360


def test_it_travels_as_json() -> None:
    fault = slow("dot", timedelta(seconds=1.5), recipients=frozenset({"b@example.com", "a@example.com"}))
    assert faults_from_json([fault.to_json()]) == [fault]
    with pytest.raises(ValueError, match="no colour"):
        Fault.from_json({**fault.to_json(), "colour": "red"})
