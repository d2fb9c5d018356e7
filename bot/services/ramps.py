"""Ramps: what is sending is looked at every few seconds, goes on to its next stage, or is stopped and says why.

The rows are the truth: where a send is among its stages, until when it waits, since when what came back counts. So
whatever looks may look twice, late, or after a restart.
"""

import time
from datetime import timedelta

from bot.access import Access, Actor
from bot.clock import now
from bot.config import Settings
from bot.errors import NotFoundError, WrongStateError
from bot.services import campaign_targets, ramp_steps, resend_rules
from bot.services.campaign_results import hold_phrase
from bot.services.plans import Plan, named
from bot.services.ramp_shapes import RampCard, status_of
from bot.services.ramping import Stop
from storage import campaigns, ramps
from storage.db import Database, Tx
from storage.models import CampaignState, Resend, ResendState
from storage.ramps import Send

LOOK_EVERY = timedelta(seconds=2)
_LONG = 0.25
_SHARE = 20
"""A send whose look took long (seconds) is left alone for so many times that: what failed is counted, and may be much.
"""


class Ramps:
    """Of campaigns and of resends, and the thresholds of those that have none."""

    def __init__(self, db: Database, settings: Settings, access: Access) -> None:
        self._db = db
        self._settings = settings
        self._access = access
        self._not_before: dict[Send, float] = {}
        self._doubted: set[Send] = set()

    async def look_in_turn(self, send: Send) -> None:
        """As `look`, but not when the last one took so long that it is not its turn again."""
        began = time.monotonic()
        if began >= self._not_before.get(send, 0.0):
            await self.look(send)
            took = time.monotonic() - began
            self._not_before[send] = time.monotonic() + (_SHARE * took if took > _LONG else 0.0)

    def forget(self, send: Send) -> None:
        """It is not sending any more."""
        self._not_before.pop(send, None)

    async def look(self, send: Send) -> None:
        """Look at one, and do what is to be done. Raises StorageError."""
        at, limits = now(), self._settings.ramp
        async with self._db.read() as tx:
            step = await ramp_steps.decide(tx, send, limits, at)
        if isinstance(step, Stop) and step.in_doubt and send not in self._doubted:
            self._doubted.add(send)
            return
        self._doubted.discard(send)
        if step is None:
            return
        async with self._db.transaction() as tx:
            await ramp_steps.take(tx, send, limits, at)

    # A person does not wait

    async def next_of_campaign(self, actor: Actor, word: str) -> str:
        """Let a campaign's next stage go now; the sentence that says so. Raises NotFoundError and WrongStateError."""
        self._access.require(actor, "campaign.next")
        async with self._db.transaction() as tx:
            send, name = await _campaign(tx, word)
            await campaigns.lock(tx, send.campaign_ids)
            await ramp_steps.go_on(tx, send, actor, now())
            return await self._said(tx, send, name, f"/campaign pause {name}")

    async def next_of_resend(self, actor: Actor, resend_id: int | None) -> str:
        """As `next_of_campaign`; None: the only one that is sending."""
        self._access.require(actor, "resend.next")
        async with self._db.transaction() as tx:
            resend = await _resend(tx, resend_id)
            send = Send(tuple(resend.campaign_ids), resend.id)
            await ramp_steps.go_on(tx, send, actor, now())
            return await self._said(tx, send, f"Resend {resend.id}", f"/resend pause {resend.id}")

    async def _said(self, tx: Tx, send: Send, name: str, stop: str) -> str:
        shown = status_of(await ramps.of(tx, send), self._settings.ramp)
        where = f" with {shown.percent} %: {shown.allowed:,} of {shown.total:,} may go now" if shown else ""
        return f"{name} goes on{where}. Stop it with {stop}"

    async def plan_next_of_campaign(self, actor: Actor, word: str) -> Plan:
        """What `next_of_campaign` would do. Raises what it raises."""
        self._access.require(actor, "campaign.next")
        async with self._db.read() as tx:
            send, name = await _campaign(tx, word)
            does = await _would(tx, send, name)
        return Plan("campaign.next", does, (), named([name]), f"/campaign pause {name} stops it.")

    async def plan_next_of_resend(self, actor: Actor, resend_id: int | None) -> Plan:
        self._access.require(actor, "resend.next")
        async with self._db.read() as tx:
            resend = await _resend(tx, resend_id)
            does = await _would(tx, Send(tuple(resend.campaign_ids), resend.id), f"resend {resend.id}")
        return Plan("resend.next", does, (), [f"resend {resend.id}"], f"/resend pause {resend.id} stops it.")

    # Looking

    async def card(self, ramp_id: int) -> RampCard:
        """What the message about a campaign's ramp shows. Raises NotFoundError."""
        at = now()
        async with self._db.read() as tx:
            ramp = await ramps.get(tx, ramp_id)
            campaign = await campaigns.get(tx, ramp.campaign_id) if ramp and ramp.campaign_id else None
            shown = status_of(ramp, self._settings.ramp)
            if ramp is None or campaign is None or shown is None:
                raise NotFoundError(f"There is no ramp {ramp_id} of a campaign.")
            seen = await ramp_steps.seen(tx, Send((campaign.id,), None), ramp, at)
        return RampCard(campaign, shown, seen, hold_phrase(campaign, at), at)


async def _campaign(tx: Tx, word: str) -> tuple[Send, str]:
    campaign = (await campaign_targets.find(tx, word, now())).campaign
    if campaign.state != CampaignState.SENDING:
        raise WrongStateError(f"{campaign.name} is {campaign.state}, so no stage of it can begin. /campaign list")
    return Send((campaign.id,), None), campaign.name


async def _resend(tx: Tx, resend_id: int | None) -> Resend:
    return await resend_rules.chosen(tx, resend_id, [ResendState.SENDING], "next")


async def _would(tx: Tx, send: Send, name: str) -> str:
    ramp, stage = await ramp_steps.following(tx, send)
    return f"let {name} go on with {ramp.stages[stage]} %: {ramp.sizes[stage]:,} of {ramp.sizes[-1]:,} may go then"
