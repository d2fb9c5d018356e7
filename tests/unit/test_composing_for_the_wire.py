"""Whatever a template and a recipient say, what leaves is one message: its lines, its dots and its headers."""

import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from bot.errors import BadInputError
from bot.mail.composing import Source, compile_message, dot_stuff
from tests.dkim_world import ED25519
from tests.unit.test_composing import AT, MESSAGE_ID, parsed, sound

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)
NASTY = st.text(".\r\n =\t<&'aé\0", max_size=200) | st.integers(60, 150).map(lambda n: "." * n) | ANY
TAGS = st.sampled_from(
    [
        "{{ a }}",
        "{{ b|default('.', true) }}",
        "{{ unsubscribe_url }}",
        "{% if a %}.{{ b }}\n{% endif %}",
        "{{ a|trim }}",
    ]
)
TEMPLATES = st.lists(TAGS | st.text(".\n =xé<", max_size=90), max_size=8).map("".join)
HEADERS = ["DKIM-Signature", "Date", "From", "To", "Subject", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"]
HEADERS += ["X-Holdfast-Campaign", "MIME-Version", "Content-Type"]


@given(TEMPLATES, TEMPLATES, st.sampled_from(["both", "html", "text"]), NASTY, NASTY, ANY)
@example("{{ a }}", ".", "text", "\r\n.\r\n", "", "")
def test_one_message_leaves_and_nobody_can_end_it_or_add_a_header(
    text: str, html: str, parts: str, one: str, two: str, name: str
) -> None:
    source: dict[str, Any] = {"subject": "Re: {{ c }}", "text": text + "x", "html": "<p>" + html}
    if parts != "both":
        source[{"html": "text", "text": "html"}[parts]] = None
    message = compile_message(
        Source(sender="Shop <news@shop.example>", **source),
        fields=["a", "b", "c"],
        campaign="sale",
        unsubscribe="link",
        keys=[ED25519],
    )
    options: dict[str, Any] = {"message_id": MESSAGE_ID, "date": AT, "name": name}
    options["unsubscribe_url"] = "https://mail.shop.example/u/7-123." + "x" * 43
    fields = {"a": one, "b": two, "c": name}
    try:
        plain = message.render("anna@example.com", fields, **options)
    except BadInputError as error:
        assert re.search(r"[\r\n\0]", name), error  # noqa: PT017  # nothing else is refused
        return
    wire = message.render("anna@example.com", fields, **options, wire=True)

    assert message.render("anna@example.com", fields, **options, eight_bit=True) == plain  # a signature wants it so
    assert wire == dot_stuff(plain)
    assert b"\r\n.\r\n" not in b"\r\n" + wire
    sound(plain)
    assert plain.isascii()
    keys = [key for key in parsed(plain).keys() if key != "Content-Transfer-Encoding"]  # noqa: SIM118  # with doubles
    assert keys == HEADERS
