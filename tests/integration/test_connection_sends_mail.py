"""Messages that arrive: whole, in order, with and without pipelining, in the clear and over TLS."""

import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.demo.relays import Profile, Relay, reply
from bot.mail.connection import Connection, Encryption, Endpoint
from bot.mail.replies import Outcome, Reply, Stage, judge
from tests.certificates import Certificate
from tests.sessions import BODY, RECIPIENT, SENDER, connected, connected_to, send

PIPELINING = pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "step-by-step"])


@PIPELINING
async def test_it_delivers_one_message_after_the_other(pipelining: bool) -> None:
    async with Relay(Profile(pipelining=pipelining)) as relay, connected(relay.port) as connection:
        assert connection.features.pipelining is pipelining
        for number in range(20):
            result = await send(connection, f"r{number}@example.net")
            assert (result.stage, result.sent) == (Stage.dot, True)
            assert judge(result.stage, result.reply).outcome is Outcome.delivered
        assert [message.recipients for message in relay.messages] == [(f"r{n}@example.net",) for n in range(20)]
        assert {message.mail_from for message in relay.messages} == {SENDER}


@PIPELINING
@pytest.mark.parametrize("chunking", [True, False], ids=["chunks", "dot"])
async def test_what_arrives_is_what_was_written_without_its_stuffing(pipelining: bool, chunking: bool) -> None:
    profile = Profile(pipelining=pipelining, chunking=chunking, keep_bodies=True)
    async with Relay(profile) as relay, connected(relay.port) as connection:
        await send(connection)
        assert relay.messages[0].raw == BODY.replace(b"\r\n..", b"\r\n.")


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
async def test_a_large_message_arrives_whole(tls: Encryption, tmp_path: Path) -> None:
    body = b"Subject: big\r\n\r\n" + (b"0123456789" * 7 + b"\r\n") * 70_000
    async with _relay(tls, tmp_path, keep_bodies=True) as relay, connected_to(_endpoint(tls, relay, tmp_path)) as line:
        result = await send(line, body=body)
        assert result.sent
        assert (await send(line)).sent
        assert relay.messages[0].raw == body


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@PIPELINING
async def test_it_logs_in_over_tls_and_sends(tls: Encryption, pipelining: bool, tmp_path: Path) -> None:
    async with (
        _relay(tls, tmp_path, credentials={"holdfast": "s3cret"}, pipelining=pipelining) as relay,
        connected_to(_endpoint(tls, relay, tmp_path, username="holdfast", password=SecretStr("s3cret"))) as line,
    ):
        for _ in range(3):
            assert (await send(line)).sent
        assert relay.count == 3


async def test_an_address_that_is_not_ascii_goes_where_smtputf8_is_announced() -> None:
    async with Relay() as relay, connected(relay.port) as connection:
        assert (await send(connection, "jürgen@example.net")).sent
        assert relay.messages[0].recipients == ("jürgen@example.net",)


async def test_eight_bit_text_goes_as_it_is() -> None:
    body = "Subject: hello\r\n\r\nGrüße\r\n".encode()
    async with Relay(Profile(keep_bodies=True)) as relay, connected(relay.port) as connection:
        assert (await send(connection, body=body)).sent
        assert relay.messages[0].raw == body


async def test_a_message_over_the_servers_limit_is_refused_without_being_sent() -> None:
    async with Relay(Profile(size=1000)) as relay, connected(relay.port) as connection:
        result = await send(connection, body=b"Subject: big\r\n\r\n" + b"x\r\n" * 1000)
        assert (result.stage, result.sent) == (Stage.mail, False)
        assert result.reply == Reply(
            552,
            "5.3.4 The message has 3,016 bytes, the server takes at most 1,000. "
            "Make it smaller or raise the server's limit.",
        )
        assert (await send(connection)).sent


@PIPELINING
async def test_refusals_in_between_do_not_disturb_the_others(pipelining: bool) -> None:
    """Of 300 messages, those that were not refused arrive, once; the connection lives through it."""
    async with Relay(Profile(pipelining=pipelining)) as relay, connected(relay.port) as connection:
        await relay.behave(
            reply("mail", 451, "4.3.0 Not now", every=7),
            reply("rcpt", 550, "5.1.1 No such user", every=5),
            reply("data", 451, "4.3.0 Not now", every=11),
            reply("dot", 554, "5.6.0 No", every=3),
        )
        delivered, refused = [], set()
        for number in range(300):
            result = await send(connection, f"r{number}@example.net")
            assert result.reply is not None
            if judge(result.stage, result.reply).outcome is Outcome.delivered:
                delivered.append((f"r{number}@example.net",))
            else:
                refused.add((result.stage, result.reply.code))
        assert [message.recipients for message in relay.messages] == delivered
        assert refused == {(Stage.mail, 451), (Stage.rcpt, 550), (Stage.data, 451), (Stage.dot, 554)}
        assert connection.is_open


async def test_closing_says_quit_and_leaves_nothing_open() -> None:
    async with Relay() as relay:
        connection = await Connection.open(Endpoint("127.0.0.1", relay.port, helo="me.example.com"))
        await send(connection)
        await connection.close()
        assert not connection.is_open
        result = await send(connection, RECIPIENT)
        assert (result.stage, result.reply, result.sent) == (Stage.mail, None, False)
        assert relay.count == 1


def _relay(tls: Encryption, folder: Path, **profile: object) -> Relay:
    context = None if tls == "none" else Certificate(folder, "mx.example.com").server()
    return Relay(Profile(tls=context, implicit_tls=tls == "tls", **profile))  # type: ignore[arg-type]  # any field


def _endpoint(tls: Encryption, relay: Relay, folder: Path, **login: object) -> Endpoint:
    trust = folder / "mx.example.com-30.pem"
    context = ssl.create_default_context(cafile=str(trust)) if trust.exists() else None
    return Endpoint(
        "127.0.0.1",
        relay.port,
        tls=tls,
        context=context,
        helo="me.example.com",
        **login,  # type: ignore[arg-type]  # any field
    )
