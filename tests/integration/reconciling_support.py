"""Reports as logs, bounces and events would make them, and how a delivery stands after them."""

from datetime import datetime
from pathlib import Path

from bot.access import Access
from bot.mail.replies import Stage
from bot.mail.reports.report import Report, token_for
from bot.services.reconciling import Reconciling
from storage import reports, suppressions
from storage.db import Database
from storage.models import Delivery, DeliveryReport, ReportKind
from tests.resend_world import World
from tests.seeds import KEY, settings_for


def report(
    n: int,
    kind: ReportKind,
    words: str = "",
    *,
    code: int | None = None,
    stage: Stage = Stage.dot,
    at: datetime | None = None,
    campaign: str = "",
) -> Report:
    address = f"p{n}@example.com"
    return Report(token_for(KEY, address), kind, words, (address.upper(),), campaign, code, stage, at)


def reconciling(db: Database, folder: Path) -> Reconciling:
    settings = settings_for(str(db.url), folder)
    return Reconciling(db, settings, Access(settings.roles, settings.admins))


async def status(world: World, n: int) -> tuple[str, str | None]:
    row: Delivery = await world.delivery(n)
    return row.status, row.retry


async def kept(world: World, n: int) -> list[DeliveryReport]:
    async with world.db.read() as tx:
        return [*await reports.of_delivery(tx, world.campaign, n)]


async def suppressed(world: World, n: int) -> str | None:
    async with world.db.read() as tx:
        row = await suppressions.get(tx, f"p{n}@example.com")
        return row.source if row else None
