"""Which view draws which message: the kind of a post's key, and how to get what it shows."""

from bot.services.bundle import Services
from bot.slack.announcer import Renderer
from bot.slack.blocks import View
from bot.slack.views import outage as outage_views
from bot.slack.views import timeline as timeline_views
from storage import timeline


async def _headline(services: Services, outage_id: int) -> View:
    return outage_views.headline(await services.outages.headline(outage_id))


async def _summary(services: Services, outage_id: int) -> View:
    return outage_views.summary(await services.outages.summary(outage_id))


async def _entry(services: Services, entry_id: int) -> View | None:
    async with services.db.read() as tx:
        row = await timeline.get(tx, entry_id)
    return timeline_views.entry(row) if row else None


CARDS: dict[str, Renderer] = {"outage": _headline, "summary": _summary, "timeline": _entry}
"""`kind` of a post's key -> how it is drawn."""
