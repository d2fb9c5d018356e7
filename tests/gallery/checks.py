"""`/holdfast doctor` and `/holdfast audit`: how the installation is, and who did what."""

from datetime import timedelta
from typing import Any

from bot.services.audit import Page, Query
from bot.services.checking import Finding
from bot.slack.blocks import View
from bot.slack.views import audit, doctor
from storage.audit import Row
from storage.models import Timeline
from tests.gallery.scene import Scenes, each
from tests.gallery.things import ANA, HOSTILE, MARIA, NIGHT

WELL = [
    Finding("bot token", ok=True, sentence="Slack knows it as holdfast in the workspace Acme."),
    Finding("scopes", ok=True, sentence="All 10 that are needed were granted."),
    Finding("clock", ok=True, sentence="It agrees with Slack's."),
    Finding("channel", ok=True, sentence="The bot is in #email-ops."),
    Finding("sender", ok=True, sentence="It works on mail-1 (process 41), seen 1 s ago."),
]
KNOW = Finding("roles", ok=True, sentence="Only U0ANA may approve, so what they ask for themselves waits.", warn=True)
WRONG = Finding(
    "server primary", ok=False, sentence="421 4.3.2 busy at greeting. Correct servers.primary, or repair the server."
)
FINDINGS: dict[str, list[Finding]] = {
    "all is well": WELL,
    "one thing to know of": [*WELL, KNOW],
    "one thing wrong, one to know of": [*WELL, KNOW, WRONG],
    "500 servers that are down": [*WELL, *(Finding(f"server {n}", ok=False, sentence="refused.") for n in range(500))],
    "what a server said": [Finding("server x", ok=False, sentence=HOSTILE * 50)],
}


def row(number: int, kind: str = "campaign.pause", text: str = "", actor: str = "U0MARIA", **changes: Any) -> Row:
    names = {name: changes.pop(name, None) for name in ("campaign", "server")}
    text = text or f"{MARIA} paused spring-sale: the page is down."
    at = NIGHT + timedelta(seconds=number)
    return Row(Timeline(id=number, at=at, kind=kind, actor=actor, text=text, **changes), **names)


ROWS = (
    row(9, campaign="spring-sale", outage_id=3),
    row(8, "server.drain", "ops drained backup.", "ops", server="backup"),
    row(7, "outage.opened", "primary is down: refused at connect.", "holdfast", server="primary", outage_id=3),
    row(6, "resend.approved", f"{ANA} approved resend 4: 250 messages go out.", ANA, resend_id=4, outage_id=3),
    row(5, "access.refused", "<@U0BEN> was refused /campaign cancel x: You may not cancel a campaign.", "U0BEN"),
)


def page(*rows: Row, **changes: Any) -> Page:
    values: dict[str, Any] = {"query": Query(), "older": None, "newer": None, "at": NIGHT}
    return Page(rows=rows, **(values | changes))


FILTERED = Query(who=MARIA, what="outage", number=3, since=NIGHT - timedelta(days=1))
PAGES: dict[str, Page] = {
    "everything": page(*ROWS),
    "nothing": page(query=FILTERED),
    "a page in the middle": page(
        *(row(n) for n in range(30, 18, -1)),
        query=FILTERED,
        older=Query(who=MARIA, what="outage", number=3, before=19),
        newer=Query(who=MARIA, what="outage", number=3, after=30),
    ),
    "what others wrote": page(*(row(n, text=HOSTILE * 40, actor=HOSTILE) for n in range(12, 0, -1))),
}

SCENES: Scenes = {
    "/holdfast doctor: at once": doctor.looking,
    **each("/holdfast doctor", doctor.report, FINDINGS),
    **each("/holdfast audit", audit.page, PAGES),
    "/holdfast audit: a page by its button": lambda: audit.page(PAGES["everything"], in_place=True),
    "/holdfast audit export: beside the file": lambda: View(audit.exported(FILTERED, limited=False)),
    "/holdfast audit export: more than fits": lambda: View(audit.exported(Query(), limited=True)),
}
