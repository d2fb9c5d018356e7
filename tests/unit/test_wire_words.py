"""The commands of a transaction and the text of replies, without a network."""

from hypothesis import given
from hypothesis import strategies as st

from bot.mail.replies import Reply
from bot.mail.transaction import MAX_TEXT, Envelopes, Features, Result, clean, read_reply

EVERYTHING = Features(pipelining=True, eight_bit=True, smtputf8=True, size=0)


def test_the_commands_come_in_order() -> None:
    envelopes = Envelopes(Features())
    for _ in range(2):  # the second time it knows the sender
        assert envelopes.of("a@example.com", "b@example.net", b"x\r\n") == (
            b"MAIL FROM:<a@example.com>\r\n",
            b"RCPT TO:<b@example.net>\r\n",
            b"DATA\r\n",
        )


def test_a_text_in_chunks_needs_no_data() -> None:
    commands = Envelopes(Features(pipelining=True, chunking=True)).of("a@example.com", "b@example.net", b"x\r\n")
    assert commands == (b"MAIL FROM:<a@example.com>\r\n", b"RCPT TO:<b@example.net>\r\n")


def test_bounces_have_no_sender() -> None:
    commands = Envelopes(Features()).of("", "b@example.net", b"x\r\n")
    assert not isinstance(commands, Result)
    assert commands[0] == b"MAIL FROM:<>\r\n"


def test_a_size_of_zero_is_no_limit() -> None:
    commands = Envelopes(Features(size=0)).of("a@example.com", "b@example.net", b"x\r\n" * 1000)
    assert not isinstance(commands, Result)
    assert commands[0] == b"MAIL FROM:<a@example.com> SIZE=3000\r\n"


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_address_makes_more_than_three_lines(sender: str, recipient: str) -> None:
    envelopes = Envelopes(EVERYTHING)
    envelopes.of(sender, "b@example.net", b"x\r\n")
    commands = envelopes.of(sender, recipient, b"x\r\n")
    if isinstance(commands, Result):
        assert not commands.sent
        return
    said = b"".join(commands)
    assert said.count(b"\n") == said.count(b"\r") == 3
    assert said.count(b"<") == said.count(b">") == 2


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
