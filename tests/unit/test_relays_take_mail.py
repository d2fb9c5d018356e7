"""A relay that behaves well, seen by clients that are not ours: smtplib and aiosmtplib."""

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest

from bot.demo.relays import Profile, Relay, read_truth
from bot.errors import BotError
from tests.certificates import Certificate

MESSAGE = (
    b"Message-ID: <1@example.com>\r\nSubject: =?utf-8?q?Spring_caf=C3=A9?=\r\n"
    b"To: ana@example.com\r\n\r\n.dots\r\n..more\r\nend\r\n"
)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate(tmp_path, "localhost")


async def send(relay: Relay, *recipients: str, body: bytes = MESSAGE) -> None:
    await aiosmtplib.send(
        body, sender="news@example.com", recipients=list(recipients), hostname="127.0.0.1", port=relay.port
    )


async def talk(relay: Relay, said: bytes) -> list[bytes]:
    """What comes back until the relay closes, line by line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(said)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.split(b"\r\n")[:-1]


async def in_thread(work: Callable[[], object]) -> None:
    await asyncio.to_thread(work)


async def test_it_takes_a_message_and_keeps_it_unstuffed() -> None:
    async with Relay(Profile(keep_bodies=True)) as relay:
        await send(relay, "ana@example.com", "bo@example.com")

    [taken] = relay.messages
    assert taken.recipients == ("ana@example.com", "bo@example.com")
    assert taken.mail_from == "news@example.com"
    assert taken.message_id == "<1@example.com>"
    assert taken.subject == "Spring café"
    assert taken.raw == MESSAGE
    assert taken.size == len(MESSAGE)


async def test_it_writes_every_message_to_its_truth_log(tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    async with Relay(Profile(name="primary"), log=log) as relay:
        await send(relay, "ana@example.com")
        await send(relay, "bo@example.com")

        assert read_truth(log) == relay.messages
    assert [line.recipients for line in read_truth(log)] == [("ana@example.com",), ("bo@example.com",)]
    assert {line.server for line in read_truth(log)} == {"primary"}


async def test_it_goes_on_after_a_torn_line_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    async with Relay(log=log) as relay:
        await send(relay, "ana@example.com")
    with log.open("ab") as torn:
        torn.write(b'{"recipients":["half')
    assert len(read_truth(log)) == 1

    async with Relay(log=log) as relay:
        assert relay.count == 1
        await send(relay, "bo@example.com")
        assert len(read_truth(log)) == 2


async def test_it_refuses_the_message_when_the_log_cannot_be_written() -> None:
    async with Relay(log=Path("/dev/full")) as relay:
        with pytest.raises(aiosmtplib.SMTPDataError, match="Insufficient system storage"):
            await send(relay, "ana@example.com")
        assert relay.messages == []


async def test_it_answers_a_pipelined_group_in_order() -> None:
    async with Relay(Profile(name="primary")) as relay:
        answers = await talk(
            relay,
            b"EHLO me\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
            b".\r\nMAIL FROM:<a@example.com>\r\nDATA\r\nQUIT\r\n",
        )
    assert [answer[:3] for answer in answers[-7:]] == [
        b"250",  # MAIL
        b"250",  # RCPT
        b"354",  # DATA
        b"250",  # the empty message
        b"250",  # MAIL
        b"554",  # DATA without a recipient
        b"221",
    ]
    assert relay.messages[0].size == 0


async def test_it_announces_what_it_was_told_to_announce() -> None:
    async with Relay(Profile(pipelining=False, smtputf8=False, size=1000)) as relay:
        answers = await talk(relay, b"EHLO me\r\nQUIT\r\n")
        assert b"250-8BITMIME" in answers
        assert b"250 SIZE 1000" in answers
        assert not any(b"PIPELINING" in answer or b"SMTPUTF8" in answer for answer in answers)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"MAIL FROM:<a@example.com>", b"503"),
        (b"EHLO me\r\nMAIL <a@example.com>", b"501"),
        (b"EHLO me\r\nMAIL FROM:<a@example.com> SIZE=99999999", b"552"),
        (b"EHLO me\r\nMAIL FROM:<a@example.com> WORLD=1", b"555"),
        (b"EHLO me\r\nRCPT TO:<a@example.com>", b"503"),
        (b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<>", b"501"),
        ("EHLO me\r\nMAIL FROM:<é@example.com>".encode(), b"553"),
        ("EHLO me\r\nMAIL FROM:<é@example.com> SMTPUTF8\r\nRCPT TO:<ü@example.com>".encode(), b"250"),
        (b"EHLO me\r\nDATA", b"503"),
        (b"BREW coffee", b"500"),
        (b"x" * 5000, b"500"),
        (b"STARTTLS", b"502"),
        (b"AUTH PLAIN AGEAYg==", b"503"),
    ],
)
async def test_it_refuses_what_does_not_belong(said: bytes, answer: bytes) -> None:
    async with Relay() as relay:
        answers = await talk(relay, said + b"\r\nQUIT\r\n")
        kept = [line for line in answers if not line.startswith((b"221", b"220"))]
        assert kept[-1][:3] == answer


async def test_it_refuses_a_message_over_its_size_and_stays_in_step() -> None:
    async with Relay(Profile(size=1000)) as relay:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port)
        async with client:
            await client.mail("a@example.com")
            await client.rcpt("b@example.com")
            with pytest.raises(aiosmtplib.SMTPDataError, match="too big"):
                await client.data(b"x" * 70 + b"\r\n" + b"y" * 200_000)
            await client.sendmail("a@example.com", ["b@example.com"], b"short\r\n")
        assert len(relay.messages) == 1


async def test_it_speaks_tls_and_checks_passwords(certificate: Certificate) -> None:
    profile = Profile(tls=certificate.server(), credentials={"holdfast": "s3cret"})
    async with Relay(profile) as relay:

        def with_smtplib() -> None:
            with smtplib.SMTP("127.0.0.1", relay.port, local_hostname="me") as client:
                client.ehlo()
                assert not client.has_extn("auth")
                client.starttls(context=certificate.client())
                with pytest.raises(smtplib.SMTPAuthenticationError):
                    client.login("holdfast", "wrong")
                client.login("holdfast", "s3cret")
                message = EmailMessage()
                message["From"], message["To"] = "a@example.com", "b@example.com"
                client.send_message(message)

        await in_thread(with_smtplib)
        assert len(relay.messages) == 1
        with pytest.raises(aiosmtplib.SMTPException, match="Authentication required"):
            await aiosmtplib.send(
                MESSAGE,
                sender="a@example.com",
                recipients=["b@example.com"],
                hostname="127.0.0.1",
                port=relay.port,
                tls_context=certificate.client(),
            )


async def test_it_takes_auth_login_step_by_step(certificate: Certificate) -> None:
    async with Relay(Profile(tls=certificate.server(), credentials={"holdfast": "s3cret"})) as relay:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port, tls_context=certificate.client())
        async with client:
            await client.auth_login("holdfast", "s3cret")


async def test_it_speaks_tls_from_the_first_octet(certificate: Certificate) -> None:
    async with Relay(Profile(tls=certificate.server(), implicit_tls=True)) as relay:
        await aiosmtplib.send(
            MESSAGE,
            sender="a@example.com",
            recipients=["b@example.com"],
            hostname="127.0.0.1",
            port=relay.port,
            use_tls=True,
            tls_context=certificate.client(),
        )
        assert relay.count == 1


async def test_it_forgets_what_was_said_in_the_clear_behind_starttls(certificate: Certificate) -> None:
    async with Relay(Profile(tls=certificate.server())) as relay:

        def inject() -> None:
            with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as plain:
                plain.recv(1000)
                plain.sendall(b"STARTTLS\r\nEHLO intruder\r\n")
                plain.recv(1000)
                context: ssl.SSLContext = certificate.client()
                with context.wrap_socket(plain, server_hostname="localhost") as secure:
                    secure.sendall(b"NOOP\r\n")
                    assert secure.recv(1000).startswith(b"250 2.0.0 OK")

        await in_thread(inject)


async def test_it_wakes_who_waits_for_messages() -> None:
    async with Relay() as relay:
        waiting = asyncio.create_task(relay.wait_for(2))
        await send(relay, "ana@example.com")
        assert not waiting.done()
        await send(relay, "bo@example.com")
        await waiting
        with pytest.raises(TimeoutError, match="took 2 of 9 messages"):
            await relay.wait_for(9, within=timedelta(milliseconds=20))


async def test_it_says_that_a_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BotError, match="Choose another port"):
        await Relay(port=taken.getsockname()[1]).start()
