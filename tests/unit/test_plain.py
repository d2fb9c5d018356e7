"""Block Kit as text for the terminal."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.slack.plain import mrkdwn, plain


def text(words: str, kind: str = "mrkdwn") -> dict[str, str]:
    return {"type": kind, "text": words}


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("*mail-1* is _really_ ~fine~ `down`", "mail-1 is really fine down"),
        ("a * b * c and snake_case_names", "a * b * c and snake_case_names"),
        ("`*not bold*` and &lt;tag&gt; &amp; more", "*not bold* and <tag> & more"),
        ("```\n550 no such user\n```", "550 no such user"),
        ("see <https://status.acme.example|the status page>", "see the status page (https://status.acme.example)"),
        ("<https://acme.example>", "https://acme.example"),
        ("<mailto:ops@acme.example|ops@acme.example>", "ops@acme.example"),
        ("<@U1> asked <@U2|jo> in <#C1|ops>", "@Maria Ortiz asked @jo in #ops"),
        ("<!subteam^S1|@approvers> <!here>", "@approvers @here"),
        (":red_circle: down :unheard_of:", "🔴 down :unheard_of:"),
        ("<!date^1767225600^{date_short} at {time}|then>", "Jan 1, 2026 at 01:00"),
        ("<!date^soon^{date}|then>", "then"),
        ("<!date^1767225600^{date_num} {nonsense}|then>", "2026-01-01 {nonsense}"),
    ],
)
def test_it_reads_markup(source: str, shown: str) -> None:
    names = {"U1": "Maria Ortiz"}
    assert mrkdwn(source, resolve=names.get, zone=ZoneInfo("Europe/Madrid")) == shown


def test_it_keeps_bold_for_terminals_that_show_it() -> None:
    assert mrkdwn("*down*", ansi=True) == "\x1b[1mdown\x1b[0m"


def test_it_shows_an_alert_as_a_person_would_read_it() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": text(":rotating_light: mail-1 is down", "plain_text")},
        {"type": "section", "text": text("*connect* failed"), "fields": [
            text("*Server*\nmail-1"), text("*Severity*\nmajor"), text("*Campaigns*\nspring-sale"),
        ]},
        {"type": "divider"},
        {"type": "context", "elements": [text("opened 10:02"), {"type": "image", "alt_text": "chart"}]},
        {"type": "actions", "elements": [
            {"type": "button", "text": text("Acknowledge", "plain_text")},
            {"type": "button", "text": text("Status", "plain_text"), "url": "https://s.example"},
            {"type": "static_select", "placeholder": text("Backup", "plain_text"), "options": []},
        ]},
    ]  # fmt: skip
    assert plain(blocks).splitlines() == [
        "🚨 mail-1 is down",
        "connect failed",
        "Server         Severity",
        "mail-1         major",
        "Campaigns",
        "spring-sale",
        "─" * 40,
        "opened 10:02  (chart)",
        "[Acknowledge] [Status (https://s.example)] [Backup ▾]",
    ]


def test_it_falls_back_to_the_text() -> None:
    assert plain([], "mail-1 is *down*") == "mail-1 is down"
    assert plain({"text": "up &amp; running", "blocks": []}) == "up & running"
    assert plain(None) == ""


def test_it_shows_attachments_tables_and_modals() -> None:
    table = {"type": "table", "rows": [[text("a", "raw_text"), text("b", "raw_text")], [text("long", "raw_text")]]}
    assert plain([table]) == "a     b\nlong"
    assert plain({"text": "see", "attachments": [{"text": "one\ntwo"}]}) == "see\n│ one\n│ two"
    element = {"type": "plain_text_input", "action_id": "x"}
    modal = {
        "title": text("Declare", "plain_text"),
        "submit": text("Send", "plain_text"),
        "blocks": [{"type": "input", "label": text("What?", "plain_text"), "element": element, "optional": True}],
    }
    assert plain(modal) == "Declare\nWhat? (optional): [____]\n[Send]"


def test_it_reads_rich_text_markdown_and_choices() -> None:
    rich = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [
        {"type": "text", "text": "hi "}, {"type": "user", "user_id": "U1"}, {"type": "emoji", "name": "tada"},
    ]}]}  # fmt: skip
    assert plain([rich], resolve={"U1": "Maria"}.get) == "hi @Maria🎉"
    assert (
        plain([{"type": "markdown", "text": "**bold** [page](https://x.example)"}]) == "bold page (https://x.example)"
    )
    choices = [{"text": text("Yes"), "value": "y"}, {"text": text("No"), "value": "n"}]
    radio = {"type": "radio_buttons", "options": choices, "initial_option": choices[0]}
    assert plain([{"type": "actions", "elements": [radio]}]) == "(x) Yes  ( ) No"
