"""MJML becomes HTML once, with its fields where they stood; what is wrong with it is said with its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import BadInputError
from bot.mail.composing import Source, compile_message
from bot.mail.composing_mjml import html_of_mjml

SALE = """<mjml>
  <mj-head><mj-preview>Only today, {{ name }}</mj-preview><mj-style>a > b { content: "é" }</mj-style></mj-head>
  <mj-body>
    <mj-section><mj-column>
      <mj-image src="https://shop.example/i.png" alt="{{ city|default("your town") }}" />
      <mj-text>Hello {{ name }},<br>die größte {# a note #}sale
        {%- if city < "P" %} in <b>{{ city }}</b>{% endif %}</mj-text>
      <mj-button href="https://shop.example/{{ id }}?a=1&amp;b=2">Buy now</mj-button>
    </mj-column></mj-section>
    <mj-raw>{% for tag in tags.split(",") %}<p>{{ tag }}</p>{% endfor %}</mj-raw>
  </mj-body>
</mjml>
"""
ANNA = {"name": "Anna <A&B>", "city": 'Os"lo', "id": "7", "tags": "x,y"}


def within(body: str, head: str = "") -> str:
    return (
        f"<mjml><mj-head>{head}</mj-head>\n<mj-body><mj-section><mj-column>\n"
        f"{body}\n</mj-column></mj-section></mj-body></mjml>"
    )


def test_it_becomes_html_with_its_fields_filled_in_and_escaped() -> None:
    message = compile_message(Source(mjml=SALE, subject="Sale", sender="shop@shop.example"), fields=ANNA)
    html = message.preview("anna@example.com", ANNA).html or ""
    for part in (
        "Hello Anna &lt;A&amp;B&gt;,<br />die größte sale in <b>Os&#34;lo</b>",
        'alt="Os&#34;lo"',
        'href="https://shop.example/7?a=1&amp;b=2"',
        "<p>x</p><p>y</p>",
        'a > b { content: "é" }',
        "Only today, Anna &lt;A&amp;B&gt;",
        "<!--[if mso | IE]>",
    ):
        assert part in html
    assert "mj-" not in html.partition("<body")[2].replace("mj-column-per-100", "").replace("mj-outlook-group-fix", "")


def test_its_text_part_reads_well() -> None:
    message = compile_message(Source(mjml=SALE, subject="Sale", sender="shop@shop.example"), fields=ANNA)
    text = message.preview("anna@example.com", ANNA).text or ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines[:3] == ["Hello Anna <A&B>,", 'die größte sale in Os"lo', "[Buy now](https://shop.example/7?a=1&b=2)"]
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_a_field_that_nobody_has_is_named_with_its_line_in_the_mjml() -> None:
    with pytest.raises(BadInputError, match=r'The MJML uses the field "nmae" on line 3.*Did you mean \{\{ name \}\}'):
        compile_message(
            Source(mjml=within("<mj-text>{{ nmae }}</mj-text>"), subject="x", sender="a@b.example"), fields=["name"]
        )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "is not MJML"),
        ("<p>Hello</p>", "line 1: <p> stands outside <mjml>"),
        ("</mjml>", "line 1: <mjml> stands outside"),
        (within("<mj-text>a <b>x</mj-text>"), "line 3: </mj-text> comes while <b> of line 3 is open"),
        ("<mjml>\n<mj-body>", "line 2: <mj-body> is never closed"),
        (within("<mj-text color=red>x</mj-text>"), "line 3: <mj-text> is not written right"),
        (within("<mj-text>1 < 2</mj-text>"), "line 3: a < begins no tag"),
        (within("<mj-txt>x</mj-txt>"), "line 3: <mj-txt> is no tag of MJML: did you mean <mj-text>"),
        (within("<mj-raw><p title='a\"b'>x</p></mj-raw>"), 'line 3: <p> has a " within'),
        (within("<!-- a -- b -->"), 'line 3: a comment holds "--"'),
        (within("\n<mj-accordion>é<mj-text>x</mj-text></mj-accordion>"), 'line 4: unexpected token "é"'),
        (within("", head="<mj-text>x</mj-text>"), 'line 1: unexpected element "mj-text"'),
        (within('<mj-image width="{{ w }}" src="x" />'), r"\{\{ w \}\} on line 3 of the MJML would be lost"),
        (within("<mj-text>" + "<b>" * 100_000), "line 3: <b> stands within 100 others"),
        ("<mjml>" + "x" * 1_000_000, "longer than 1,000,000"),
        (within("<mj-text/>" * 10_001), "more than 10,000 tags"),
        (
            within("", head=f'<mj-attributes><mj-all css-class="{"x" * 2001}" /></mj-attributes>'),
            "line 1: <mj-all> in mj-attributes is longer than 2,000",
        ),
    ],
)
def test_it_says_what_is_wrong_and_where(source: str, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        html_of_mjml(source)


@pytest.mark.parametrize("path", ["/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/x", "part.mjml"])
def test_it_reads_no_other_file_and_no_address(path: str) -> None:
    with pytest.raises(BadInputError, match="line 3: <mj-include> asks for another file, and Holdfast reads none"):
        html_of_mjml(within(f'<mj-include path="{path}" />'))


TAGS = ["<mj-text>", "</mj-text>", "<b>", "</b>", "<br>", "<mj-divider/>", "<mj-hero height='-1px'>", "</mj-hero>"]
REST = ["{{ a }}", "{% if a %}", "{% endif %}", "é", "\0", "<", ">", '"', "'", " a='b'", "&", "<!--", "-->", "9" * 40]
WORDS = st.sampled_from([*TAGS, *REST, "px", "\r\n"])


@given(st.lists(WORDS, max_size=8).map("".join))
def test_any_mjml_becomes_html_or_a_sentence(body: str) -> None:
    try:
        html = html_of_mjml(within(body))
    except BadInputError as error:
        assert str(error).endswith(".")  # noqa: PT017  # most are refused, and none has to be
    else:
        assert html.count("{{ a }}") >= body.count("{{ a }}")
        assert "word0x" not in html
