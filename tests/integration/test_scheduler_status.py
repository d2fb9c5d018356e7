"""`/holdfast status`: everything that somebody should know who has just woken up."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from bot.clock import now
from storage.db import Database
from storage.models import Delivery, DeliveryStatus, Post
from tests.integration.notice_support import MARIA, TEXT, outage
from tests.outage_world import world


async def test_an_empty_house_is_reported_as_it_is(db: Database, tmp_path: Path) -> None:
    async with world(db, tmp_path) as here:
        report = await here.services.status.report()
        assert (report.servers, report.campaigns) == ({"unchecked": 2}, {})
        assert (report.outages, report.approvals, report.maintenance) == ((), (), ())
        assert (report.sender_runs, report.unknown, report.posts.waiting) == (False, 0, 0)
        assert not report.calm, "nothing sends"
        assert report.version
        assert report.database == ("SQLite" if db.is_sqlite else "PostgreSQL")


async def test_in_an_outage_everything_that_waits_is_there(db: Database, tmp_path: Path) -> None:
    async with outage(db, tmp_path) as here:
        await here.services.notices.draft(MARIA, TEXT)
        await here.services.notices.request(MARIA)
        proposal = await here.services.maintenance.propose(MARIA, "backup", "in 1 h", "1h")
        await here.services.maintenance.confirm(MARIA, proposal.window.id)
        async with db.transaction() as tx:
            await tx.execute(update(Delivery).where(Delivery.n == 1).values(status=DeliveryStatus.UNKNOWN))
            await tx.execute(
                update(Post).where(Post.key == "outage:1").values(error="Slack cannot be reached.", created_at=now())
            )
        report = await here.services.status.report()
        assert report.servers["down"] == 1
        assert report.campaigns == {"pausing": 1}
        [(found, names)] = report.outages
        assert (found.id, names) == (1, ("primary",))
        assert [(each.subject, each.subject_id) for each in report.approvals] == [("notice", 1)]
        assert report.notices == {"waiting": 1}
        assert [(window.id, name) for window, name in report.maintenance] == [(1, "backup")]
        assert report.unknown == 2, "one of the campaign and one of the notice"
        assert report.posts.waiting >= 2
        assert report.posts.error == "Slack cannot be reached."
        assert report.posts.since is not None
        assert now() - report.posts.since < timedelta(minutes=5)
