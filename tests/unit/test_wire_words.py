"""The commands of a transaction and the text of replies, without a network."""

from hypothesis import given
from hypothesis import strategies as st

from bot.mail.replies import Reply
from bot.mail.transaction import MAX_TEXT, Envelopes, Features, Result, clean, read_reply

EVERYTHING = Features(pipelining=True, eight_bit=True, smtputf8=True, size=0)


def _said(commands: bytes | Result) -> bytes:
    assert not isinstance(commands, Result)
    return commands


def test_the_commands_come_in_order() -> None:
    envelopes = Envelopes(Features())
    for _ in range(2):  # the second time it knows the sender
        assert envelopes.of("a@example.com", "b@example.net", b"x\r\n") == (
            b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
        )


def test_a_text_of_eight_bits_is_announced_and_never_sent_to_a_server_that_does_not_take_it() -> None:
    knows, does_not = Envelopes(Features(eight_bit=True, size=0)), Envelopes(Features(size=0))
    for _ in range(2):  # the second time it knows the sender
        assert knows.of("a@example.com", "b@example.net", "é\r\n".encode()) == (
            b"MAIL FROM:<a@example.com> SIZE=4 BODY=8BITMIME\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
        )
        refused = does_not.of("a@example.com", "b@example.net", "é\r\n".encode())
        assert isinstance(refused, Result)
        assert refused.reply is not None
        assert refused.reply.code == 554
        assert not refused.sent
        assert b"BODY" not in _said(does_not.of("a@example.com", "b@example.net", b"x\r\n"))


def test_a_text_in_chunks_needs_no_data() -> None:
    commands = Envelopes(Features(pipelining=True, chunking=True)).of("a@example.com", "b@example.net", b"x\r\n")
    assert commands == b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n"


def test_bounces_have_no_sender() -> None:
    commands = Envelopes(Features()).of("", "b@example.net", b"x\r\n")
    assert _said(commands).startswith(b"MAIL FROM:<>\r\n")


def test_a_size_of_zero_is_no_limit() -> None:
    commands = Envelopes(Features(size=0)).of("a@example.com", "b@example.net", b"x\r\n" * 1000)
    assert _said(commands).startswith(b"MAIL FROM:<a@example.com> SIZE=3000\r\n")


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_address_makes_more_than_three_lines(sender: str, recipient: str) -> None:
    envelopes = Envelopes(EVERYTHING)
    envelopes.of(sender, "b@example.net", b"x\r\n")
    commands = envelopes.of(sender, recipient, b"x\r\n")
    if isinstance(commands, Result):
        assert not commands.sent
        return
    assert commands.count(b"\n") == commands.count(b"\r") == 3
    assert commands.count(b"<") == commands.count(b">") == 2
    assert len(commands.splitlines()) == 3  # step by step, one of them at a time


@given(st.text())
def test_a_cleaned_text_can_be_stored_and_shown(text: str) -> None:
    shown = clean(text)
    assert len(shown) <= MAX_TEXT
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in shown if letter != "\n")


@given(st.lists(st.binary(max_size=200).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=20))
def test_any_bytes_make_a_reply_of_text(lines: list[bytes]) -> None:
    reply = read_reply([b"550-" + line for line in lines])
    assert reply.code == 550
    assert reply == Reply(550, clean(reply.text))
