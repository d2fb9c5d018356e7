"""A small world for stories about commands: people who type and press, and all services behind them."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import update

import commands
from bot.access import Actor
from bot.clock import now
from bot.demo.fakeslack import block_problems
from bot.demo.fakeslack.limits import MESSAGE_BLOCKS, MESSAGE_SIZE, text_size
from bot.demo.relays import Relay
from bot.errors import SHOWABLE
from bot.services.bundle import Services, build
from bot.slack.blocks import View
from bot.slack.call import Call, Click
from bot.slack.plain import plain
from storage.db import Database
from storage.models import Campaign, CampaignState, Delivery
from tests.seeds import add_campaign, add_server, settings_for

MARIA = Actor("U0MARIA", "maria", zone="Europe/Madrid")
"""She may do everything but add servers."""
JONAS = Actor("U0JONAS", "jonas")
"""The second person."""
ANA = Actor("U0ANA", "ana")
"""An admin."""
GUEST = Actor("U0GUEST", "guest")
"""May look, declare, acknowledge and tell what is new."""

ROLES = {
    "responder": [MARIA.id, JONAS.id],
    "sender": [MARIA.id, JONAS.id],
    "approver": [MARIA.id, JONAS.id],
    "admin": [ANA.id],
}


@dataclass
class World:
    db: Database
    services: Services
    relay: Relay
    backup_relay: Relay
    primary: int
    backup: int
    views: list[View] = field(default_factory=list)
    """Every answer so far; each was held against Slack's limits."""

    async def type(self, line: str, actor: Actor = MARIA) -> str:
        """Type a line as in Slack; the answer as a person reads it."""
        return self._seen(await commands.run(self.services, Call(actor, ""), line))

    async def refused(self, line: str, sentence: str, actor: Actor = MARIA) -> None:
        """The line is refused with a sentence that holds this pattern."""
        with pytest.raises(SHOWABLE, match=sentence):
            await self.type(line, actor)

    async def press(self, action: str, value: str | int, actor: Actor = MARIA) -> str | None:
        """Press a button; None when the edited card says it all."""
        view = await commands.ACTIONS[action](self.services, Click(actor, action, str(value)))
        return None if view is None else self._seen(view)

    async def press_refused(self, action: str, value: str | int, sentence: str, actor: Actor = MARIA) -> None:
        with pytest.raises(SHOWABLE, match=sentence):
            await self.press(action, value, actor)

    def button(self, action: str) -> str:
        """What the button with this action carries in the last answer."""
        blocks = self.views[-1].blocks
        elements = [each for block in blocks if block["type"] == "actions" for each in block["elements"]]
        return next(str(each["value"]) for each in elements if each["action_id"] == action)

    def has_buttons(self) -> bool:
        return any(block["type"] == "actions" for block in self.views[-1].blocks)

    def _seen(self, view: View) -> str:
        assert not block_problems(view.blocks)
        assert len(view.blocks) <= MESSAGE_BLOCKS
        assert text_size(view.blocks) <= MESSAGE_SIZE
        assert 0 < len(view.text) <= 4_000
        self.views.append(view)
        return re.sub(r"<!date\^[^|]*\|([^>]*)>", r"\1", plain(view.blocks, view.text))

    # What is there

    async def campaign(
        self, recipients: int = 10, *, name: str = "spring-sale", state: CampaignState = CampaignState.SENDING
    ) -> int:
        return await add_campaign(self.db, self.primary, recipients, name=name, state=state)

    async def state(self, campaign_id: int) -> str:
        async with self.db.read() as tx:
            return (await tx.get_one(Campaign, campaign_id)).state

    async def confirm(self, campaign_id: int) -> None:
        """The sender has stopped, as was wished."""
        async with self.db.transaction() as tx:
            await tx.execute(
                update(Campaign)
                .where(Campaign.id == campaign_id)
                .values(state=Campaign.wish, state_since=now(), confirmed_at=now())
            )

    async def lose(self, campaign_id: int, first: int, last: int, **values: object) -> None:
        """These could not be delivered for now; everybody else has it."""
        async with self.db.transaction() as tx:
            of = update(Delivery).where(Delivery.campaign_id == campaign_id)
            await tx.execute(of.values(status="delivered", attempts=1, server_id=self.primary, changed_at=now()))
            lost = {"status": "failed_temporary", "retry": "safe", "stage": "rcpt", "code": 451} | values
            await tx.execute(of.where(Delivery.n.between(first, last)).values(**lost))


@asynccontextmanager
async def command_world(db: Database, folder: Path, **sections: object) -> AsyncIterator[World]:
    settings = settings_for(str(db.url), folder, **{"roles": ROLES, **sections})
    async with Relay() as relay, Relay() as backup_relay:
        backup = await add_server(db, "backup", backup_relay.port)
        primary = await add_server(db, "primary", relay.port, backup_id=backup)
        yield World(db, build(db, settings), relay, backup_relay, primary, backup)
