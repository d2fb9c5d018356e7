"""Servers that break the protocol: no answer is ever taken for another, and nothing grows without bound."""

import pytest

from bot.mail.replies import Reply, Stage
from bot.mail.transaction import Result
from tests.sessions import HASTY, connected, scripted, send

GROUP = b"DATA\r\n"
DOT = b"\r\n.\r\n"


async def test_replies_that_come_in_single_bytes_are_whole() -> None:
    replies = b"250-2.1.0 one\r\n250 2.1.0 two\r\n250 ok\r\n354 go\r\n"
    turns = ((GROUP, b""), *((b"", bytes([byte])) for byte in replies), (DOT, b"250-a\r\n25"), (b"", b"0 b\r\n"))
    async with scripted(*turns) as server, connected(server.port) as connection:
        assert await send(connection) == Result(Stage.dot, Reply(250, "a\nb"), sent=True)


@pytest.mark.parametrize(
    "reply",
    [
        b"hello\r\n",
        b"25 short\r\n",
        b"2500 long\r\n",
        b"250_ok\r\n",
        b"\r\n",
        b"250-a\r\n251 b\r\n",
        b"\xff\xfe\xff ok\r\n",
    ],
)
@pytest.mark.parametrize("stage", [Stage.mail, Stage.dot])
async def test_what_is_not_a_reply_ends_the_session(reply: bytes, stage: Stage) -> None:
    good = b"250 ok\r\n250 ok\r\n354 go\r\n"
    turns = ((GROUP, reply),) if stage is Stage.mail else ((GROUP, good), (DOT, reply))
    async with scripted(*turns) as server, connected(server.port) as connection:
        result = await send(connection)
        assert (result.stage, result.reply, result.sent) == (stage, None, stage is Stage.dot)
        assert "The server" in result.text
        assert not connection.is_open


@pytest.mark.parametrize("code", [b"150", b"354", b"600"])
async def test_an_answer_to_the_dot_that_is_neither_yes_nor_no_is_not_an_answer(code: bytes) -> None:
    turns = ((GROUP, b"250 ok\r\n250 ok\r\n354 go\r\n"), (DOT, code + b" what\r\n"))
    async with scripted(*turns) as server, connected(server.port) as connection:
        result = await send(connection)
        assert (result.stage, result.reply, result.sent) == (Stage.dot, None, True)


async def test_a_reply_of_endless_lines_is_cut_off() -> None:
    async with scripted((GROUP, b"250-more\r\n" * 200)) as server, connected(server.port) as connection:
        result = await send(connection)
        assert (result.stage, result.reply) == (Stage.mail, None)
        assert result.text == "The server sent a reply of more than 100 lines."


async def test_a_long_reply_of_many_lines_is_kept_in_bounds() -> None:
    async with (
        scripted((GROUP, b"550-" + b"x" * 1000 + b"\r\n" + b"550-y\r\n" * 90 + b"550 z\r\n503 no\r\n503 no\r\n")) as (
            server
        ),
        connected(server.port) as connection,
    ):
        result = await send(connection)
        assert result.reply is not None
        assert len(result.reply.text) < 2000
        assert result.reply.text.endswith("y\nz")
        assert connection.is_open


async def test_control_characters_of_a_reply_are_not_passed_on() -> None:
    turns = ((GROUP, b"550 \x1b[31mred\x00\x07 \xff\r\n503 no\r\n503 no\r\n"),)
    async with scripted(*turns) as server, connected(server.port) as connection:
        assert (await send(connection)).reply == Reply(550, "[31mred �")


async def test_a_refused_recipient_whose_text_is_wanted_all_the_same_gets_nothing() -> None:
    """RFC 2920 3.1: the server may answer 354 although every recipient was refused."""
    turns = ((GROUP, b"250 ok\r\n550 5.1.1 no such user\r\n354 go\r\n"),)
    async with scripted(*turns) as server, connected(server.port) as connection:
        result = await send(connection)
        assert result == Result(Stage.rcpt, Reply(550, "5.1.1 no such user"), sent=False)
        assert not connection.is_open
    assert DOT not in server.heard


async def test_the_first_refusal_of_a_group_is_the_one_that_counts() -> None:
    turns = (
        (GROUP, b"452 4.3.1 disk full\r\n503 5.5.1 MAIL first\r\n503 5.5.1 RCPT first\r\n"),
        (GROUP, b"250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
        (DOT, b"250 2.0.0 taken\r\n"),
    )
    async with scripted(*turns) as server, connected(server.port) as connection:
        assert await send(connection) == Result(Stage.mail, Reply(452, "4.3.1 disk full"), sent=False)
        assert await send(connection) == Result(Stage.dot, Reply(250, "2.0.0 taken"), sent=True)
    assert server.heard.count(b"RSET\r\nMAIL FROM:") == 1


async def test_a_refusal_stands_even_if_the_connection_dies_before_the_rest_of_the_group() -> None:
    async with (
        scripted((GROUP, b"250 ok\r\n550 5.1.1 no such user\r\n"), (b"", None)) as server,
        connected(server.port) as connection,
    ):
        assert await send(connection) == Result(Stage.rcpt, Reply(550, "5.1.1 no such user"), sent=False)
        assert not connection.is_open


async def test_a_refusal_stands_even_if_the_rest_of_the_group_never_comes() -> None:
    turns = ((GROUP, b"250 ok\r\n550 5.1.1 no such user\r\n"),)
    async with scripted(*turns) as server, connected(server.port, HASTY) as connection:
        assert await send(connection) == Result(Stage.rcpt, Reply(550, "5.1.1 no such user"), sent=False)
        assert not connection.is_open


async def test_an_answer_to_a_dot_that_was_not_sent_is_not_believed() -> None:
    turns = ((GROUP, b"250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 taken\r\n"),)
    async with scripted(*turns) as server, connected(server.port) as connection:
        result = await send(connection)
        assert (result.stage, result.reply, result.sent) == (Stage.data, None, False)
    assert DOT not in server.heard


async def test_answers_one_too_many_are_not_taken_for_those_of_the_next_command() -> None:
    turns = ((b"MAIL FROM:<news@example.com>\r\n", b"250 ok\r\n250 ok\r\n"),)
    async with (
        scripted(*turns, features=(b"mx.example.com", b"8BITMIME")) as server,
        connected(server.port) as connection,
    ):
        result = await send(connection)
        assert (result.stage, result.reply, result.sent) == (Stage.mail, None, False)
        assert result.text == "The server sent more answers than it was asked for."


async def test_an_answer_one_too_many_after_the_dot_does_not_change_the_delivery() -> None:
    turns = ((GROUP, b"250 ok\r\n250 ok\r\n354 go\r\n"), (DOT, b"250 2.0.0 taken\r\n250 again\r\n"))
    async with scripted(*turns) as server, connected(server.port) as connection:
        assert await send(connection) == Result(Stage.dot, Reply(250, "2.0.0 taken"), sent=True)
        assert not connection.is_open
        assert "without being asked" in connection.why_closed


async def test_a_server_that_does_not_know_rset_is_left() -> None:
    turns = (
        (GROUP, b"250 ok\r\n550 5.1.1 no such user\r\n554 5.5.1 no recipients\r\n"),
        (GROUP, b"500 5.5.1 what\r\n503 nested\r\n"),
    )
    async with scripted(*turns) as server, connected(server.port) as connection:
        await send(connection)
        result = await send(connection)
        assert (result.stage, result.reply, result.sent) == (Stage.mail, None, False)


@pytest.mark.parametrize("said", [Reply(552, "5.3.4 too big"), Reply(421, "4.3.2 Closing")])
async def test_a_refusal_in_the_middle_of_a_large_text_is_told(said: Reply) -> None:
    body = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 1_000_000
    turns = ((GROUP, b"250 ok\r\n250 ok\r\n354 go\r\n"), (b"Subject: big\r\n", f"{said}\r\n".encode()))
    async with scripted(*turns) as server, connected(server.port) as connection:
        result = await send(connection, body=body)
        assert result.reply == said
        assert result.stage in {Stage.body, Stage.dot}


async def test_bare_line_feeds_and_replies_without_text_are_understood() -> None:
    turns = ((GROUP, b"250\n250 \n354\r\n"), (DOT, b"250\r\n"))
    async with scripted(*turns) as server, connected(server.port) as connection:
        assert await send(connection) == Result(Stage.dot, Reply(250, ""), sent=True)


@pytest.mark.parametrize("recipient", ["a@b.c>\r\nRCPT TO:<d@e.f", "a@b.c> SIZE=1", "a\x00@b.c", "a\ud800@b.c", ""])
async def test_an_address_cannot_carry_commands(recipient: str) -> None:
    async with scripted() as server, connected(server.port) as connection:
        result = await send(connection, recipient)
        assert (result.stage, result.sent) == (Stage.rcpt, False)
        assert result.reply is not None
        assert result.reply.enhanced == "5.1.3"
        assert connection.is_open
    assert b"MAIL" not in server.heard


@pytest.mark.parametrize(
    ("recipient", "body", "enhanced"),
    [("jürgen@example.net", b"x\r\n", "5.6.7"), ("a@example.net", "Grüße\r\n".encode(), "5.6.3")],
)
async def test_what_the_server_does_not_announce_is_not_tried(recipient: str, body: bytes, enhanced: str) -> None:
    async with scripted() as server, connected(server.port) as connection:
        result = await send(connection, recipient, body)
        assert (result.stage, result.sent) == (Stage.mail, False)
        assert result.reply is not None
        assert result.reply.enhanced == enhanced
    assert b"MAIL" not in server.heard


async def test_each_parameter_is_given_where_it_is_announced() -> None:
    turns = ((GROUP, b"250 ok\r\n250 ok\r\n354 go\r\n"), (DOT, b"250 ok\r\n"))
    features = (b"mx.example.com", b"SIZE 9000", b"8BITMIME", b"PIPELINING", b"SMTPUTF8")
    async with scripted(*turns, features=features) as server, connected(server.port) as connection:
        assert connection.features.size == 9000
        assert (await send(connection, "jürgen@example.net", "Grüße\r\n".encode())).sent
    assert b"MAIL FROM:<news@example.com> SIZE=9 BODY=8BITMIME SMTPUTF8\r\n" in server.heard
    assert "RCPT TO:<jürgen@example.net>\r\n".encode() in server.heard
