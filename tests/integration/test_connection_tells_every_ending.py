"""Whatever happens to a message, its result says where, with which reply, and whether its dot had left."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.demo.faultproxy import FaultProxy
from bot.demo.relays import Profile, Relay, cut, endless, goodbye, hang, reply
from bot.demo.relays import Stage as Place
from bot.mail.connection import Connection, Endpoint
from bot.mail.replies import Outcome, Reply, Stage, judge
from bot.mail.transaction import Result
from tests.sessions import BODY, HASTY, RECIPIENT, SENDER, Intents, connected, eventually, scripted, send

PIPELINING = pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "step-by-step"])
PLACES = pytest.mark.parametrize("place", ["mail", "rcpt", "data", "dot"])


@PIPELINING
@PLACES
@pytest.mark.parametrize("code", [451, 550])
async def test_a_refusal_is_told_with_its_reply_and_the_session_goes_on(
    place: Place, code: int, pipelining: bool
) -> None:
    async with Relay(Profile(pipelining=pipelining)) as relay, connected(relay.port) as connection:
        await relay.behave(reply(place, code, "x.7.0 Not you\nsecond line", times=1))
        result = await send(connection)
        assert result.stage == place
        assert result.reply == Reply(code, "x.7.0 Not you\nsecond line")
        assert result.sent is (place == "dot")
        assert connection.is_open
        assert (await send(connection)).sent
        assert relay.count == 1


@PIPELINING
@PLACES
async def test_421_is_told_and_ends_the_session(place: Place, pipelining: bool) -> None:
    async with Relay(Profile(pipelining=pipelining)) as relay, connected(relay.port) as connection:
        await relay.behave(reply(place, 421, "4.3.2 Closing", close=True))
        result = await send(connection)
        assert (result.stage, result.reply) == (place, Reply(421, "4.3.2 Closing"))
        assert judge(result.stage, result.reply).outcome is Outcome.failed_temporary
        assert not connection.is_open


@PIPELINING
@PLACES
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
async def test_a_connection_lost_before_the_dot_is_safe_and_after_it_unknown(
    place: Place, reset: bool, pipelining: bool
) -> None:
    async with Relay(Profile(pipelining=pipelining)) as relay, connected(relay.port) as connection:
        await relay.behave(cut(place, reset=reset))
        result = await send(connection)
        assert (result.stage, result.reply, result.sent) == (place, None, place == "dot")
        assert result.text
        expected = Outcome.unknown if place == "dot" else Outcome.failed_temporary
        assert judge(result.stage, result.reply).outcome is expected
        assert not connection.is_open


@PIPELINING
@PLACES
async def test_a_server_that_falls_silent_is_left_in_time(place: Place, pipelining: bool) -> None:
    async with Relay(Profile(pipelining=pipelining)) as relay, connected(relay.port, HASTY) as connection:
        await relay.behave(hang(place))
        result = await send(connection)
        assert (result.stage, result.reply, result.sent) == (place, None, place == "dot")
        assert result.text == "No answer within 0.3 s."


@PLACES
async def test_a_reply_without_an_end_is_cut_off(place: Place) -> None:
    async with Relay() as relay, connected(relay.port) as connection:
        await relay.behave(endless(place))
        result = await send(connection)
        assert (result.stage, result.reply) == (place, None)
        assert result.text == "The server sent a reply line of more than 2048 bytes."


async def test_a_message_that_was_taken_but_not_confirmed_is_unknown() -> None:
    async with Relay() as relay, FaultProxy("127.0.0.1", relay.port) as proxy, connected(proxy.port, HASTY) as line:
        proxy.drop_replies_after_dot()
        result = await send(line)
        assert (result.stage, result.reply, result.sent) == (Stage.dot, None, True)
        assert relay.count == 1


async def test_a_connection_that_dies_in_the_middle_of_a_large_text_lacked_the_dot() -> None:
    body = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 500_000
    intents = Intents()
    async with Relay() as relay, FaultProxy("127.0.0.1", relay.port) as proxy, connected(proxy.port) as line:
        proxy.cut_after(200_000)
        result = await line.send(SENDER, RECIPIENT, body, before_dot=intents)
        assert (result.stage, result.reply, result.sent) == (Stage.body, None, False)
        assert intents.count == 0
        assert relay.count == 0


async def test_a_text_that_no_longer_moves_is_given_up() -> None:
    body = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 1_000_000
    async with Relay() as relay, FaultProxy("127.0.0.1", relay.port) as proxy, connected(proxy.port, HASTY) as line:
        sending = asyncio.create_task(send(line, body=body))
        await asyncio.sleep(0)
        await eventually(lambda: proxy.octets["up"] >= 100_000)
        proxy.stall()
        result = await sending
        assert (result.stage, result.reply, result.sent) == (Stage.body, None, False)


async def test_a_large_text_may_take_longer_than_its_limit_as_long_as_it_moves() -> None:
    body = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 1_000_000
    turns = ((b"DATA\r\n", b"250 ok\r\n250 ok\r\n354 go\r\n"), (b"\r\n.\r\n", b"250 2.0.0 taken\r\n"))
    patient = replace(HASTY, dot=timedelta(seconds=60))
    async with scripted(*turns, pace=timedelta(milliseconds=40)) as server, connected(server.port, patient) as line:
        began = asyncio.get_running_loop().time()
        assert await send(line, body=body) == Result(Stage.dot, Reply(250, "2.0.0 taken"), sent=True)
        assert asyncio.get_running_loop().time() - began > HASTY.body.total_seconds()


async def test_a_goodbye_between_messages_closes_the_session_without_touching_a_message() -> None:
    async with Relay() as relay, connected(relay.port) as connection:
        assert (await send(connection)).sent
        await relay.behave(goodbye())
        await connection.wait_closed()
        assert "421" in connection.why_closed
        result = await send(connection)
        assert (result.stage, result.reply, result.sent) == (Stage.mail, None, False)
        assert relay.count == 1


async def test_withholding_at_the_last_moment_sends_nothing() -> None:
    async with Relay() as relay, connected(relay.port) as connection:
        result = await connection.send(SENDER, RECIPIENT, BODY, before_dot=lambda: False)
        assert result.withheld
        assert (result.reply, result.sent) == (None, False)
        assert not connection.is_open
        await eventually(lambda: not relay.connections)
        assert relay.count == 0


async def test_withholding_a_large_text_sends_nothing_either() -> None:
    body = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 200_000
    async with Relay() as relay, connected(relay.port) as connection:
        result = await connection.send(SENDER, RECIPIENT, body, before_dot=lambda: False)
        assert (result.withheld, result.sent) == (True, False)
        await eventually(lambda: not relay.connections)
        assert relay.count == 0


@pytest.mark.parametrize(("place", "sent"), [("mail", False), ("data", False), ("dot", True)])
async def test_aborting_ends_the_message_with_what_is_known(place: Place, sent: bool) -> None:
    async with Relay() as relay, connected(relay.port) as connection:
        await relay.behave(hang(place))
        intents = Intents()
        sending = asyncio.create_task(connection.send(SENDER, RECIPIENT, BODY, before_dot=intents))
        if sent:
            await intents.asked.wait()
        else:
            await asyncio.sleep(0)
        connection.abort()
        result = await sending
        assert (result.reply, result.sent) == (None, sent)
        assert not connection.is_open


async def test_cancelling_hangs_up() -> None:
    async with Relay() as relay, connected(relay.port) as connection:
        await relay.behave(hang("rcpt"))
        sending = asyncio.create_task(send(connection))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert not connection.is_open


async def test_two_messages_at_once_are_a_mistake() -> None:
    async with Relay() as relay, connected(relay.port) as connection:
        await relay.behave(hang("mail"))
        sending = asyncio.create_task(send(connection))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one message at a time"):
            await send(connection)
        connection.abort()
        await sending


@pytest.mark.parametrize("body", [b"no end", b"a\r\n.\r\nMAIL FROM:<b@example.com>\r\n", b".\r\n"])
async def test_a_body_that_would_break_the_dialogue_is_a_mistake(body: bytes) -> None:
    async with Relay() as relay, connected(relay.port) as connection:
        with pytest.raises(ValueError, match="dot-stuffed"):
            await send(connection, body=body)
        assert (await send(connection)).sent


async def test_a_server_that_never_answers_quit_is_left_all_the_same() -> None:
    async with Relay() as relay:
        connection = await Connection.open(Endpoint("127.0.0.1", relay.port, helo="me.example.com"), HASTY)
        await relay.behave(hang("quit"))
        await connection.close()
        assert not connection.is_open
