"""Which view draws which message: the kind of a post's key, and how to get what it shows."""

from bot.services.bundle import Services
from bot.slack.announcer import Renderer
from bot.slack.blocks import View
from bot.slack.views import break_glass as glass_views
from bot.slack.views import campaign_asking as asking_views
from bot.slack.views import maintenance as maintenance_views
from bot.slack.views import notice as notice_views
from bot.slack.views import outage as outage_views
from bot.slack.views import ramp as ramp_views
from bot.slack.views import reminder as reminder_views
from bot.slack.views import resend as resend_views
from bot.slack.views import timeline as timeline_views
from storage import campaigns, timeline


async def _headline(services: Services, outage_id: int) -> View:
    return outage_views.headline(await services.outages.headline(outage_id))


async def _summary(services: Services, outage_id: int) -> View:
    return outage_views.summary(await services.outages.summary(outage_id))


async def _resend(services: Services, resend_id: int) -> View:
    return resend_views.card(await services.resends.status(resend_id))


async def _notice(services: Services, notice_id: int) -> View:
    return notice_views.card(await services.notices.status(notice_id))


async def _maintenance(services: Services, window_id: int) -> View:
    return maintenance_views.card(await services.maintenance.status(window_id))


async def _glass(services: Services, glass_id: int) -> View:
    return glass_views.card(await services.break_glass.status(glass_id))


async def _ask(services: Services, approval_id: int) -> View:
    return asking_views.card(await services.campaigns.asked(approval_id))


async def _reminder(services: Services, reminder_id: int) -> View:
    return reminder_views.card(await services.reminders.card(reminder_id))


async def _ramp(services: Services, ramp_id: int) -> View:
    return ramp_views.card(await services.ramps.card(ramp_id))


async def _entry(services: Services, entry_id: int) -> View | None:
    async with services.db.read() as tx:
        row = await timeline.get(tx, entry_id)
        stopped = row is not None and row.kind == "campaign.stopped" and row.campaign_id is not None
        campaign = await campaigns.get(tx, row.campaign_id or 0) if row is not None and stopped else None
    if row is None:
        return None
    return ramp_views.stopped(row, campaign) if campaign is not None else timeline_views.entry(row)


CARDS: dict[str, Renderer] = {
    "outage": _headline,
    "summary": _summary,
    "resend": _resend,
    "notice": _notice,
    "maintenance": _maintenance,
    "glass": _glass,
    "ask": _ask,
    "reminder": _reminder,
    "ramp": _ramp,
    "timeline": _entry,
}
"""`kind` of a post's key -> how it is drawn."""
