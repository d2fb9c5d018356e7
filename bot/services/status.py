"""How Holdfast is: everything that somebody should know who has just woken up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from bot.clock import now
from bot.config import Settings
from bot.services.server_results import effective_state
from storage import approvals, campaigns, installs, maintenance, outages, paging, posts, servers, status, workers
from storage.db import Database, Tx
from storage.installs import Workspace
from storage.models import Approval, Maintenance, Outage, Paging
from storage.posts import Trouble


@dataclass(frozen=True)
class StatusReport:
    """What `/holdfast status` shows. Counts are by state, only of states that there are."""

    servers: Mapping[str, int]
    """By effective state: maintenance, drained, or health."""
    campaigns: Mapping[str, int]
    outages: tuple[tuple[Outage, tuple[str, ...]], ...]
    """The unresolved ones, each with the names of its servers."""
    resends: Mapping[str, int]
    """Those that are not at their end."""
    notices: Mapping[str, int]
    """Those that are not at their end."""
    approvals: tuple[Approval, ...]
    """What waits for a second person, oldest first."""
    maintenance: tuple[tuple[Maintenance, str], ...]
    """What is planned or under way, in order of the starts, each with the name of its server."""
    sender_runs: bool
    posts: Trouble
    """Messages that Slack has not taken yet: how many, since when, and the last error in plain words."""
    unknown: int
    """Deliveries of which nobody knows whether they arrived."""
    version: str
    database: str
    """SQLite or PostgreSQL."""
    at: datetime
    asked: Mapping[int, str] = field(default_factory=dict)
    """The names of the campaigns that wait for an approval, by id."""
    paging: Paging | None = None
    """The absence of Slack that goes on, and whom it was told."""
    workspaces: tuple[Workspace, ...] = ()
    """Where Holdfast was installed by OAuth, the home workspace first; empty with a token from the settings."""
    homeless: Workspace | None = None
    """The home workspace, when it removed Holdfast: nothing can be posted."""
    install_url: str | None = None
    senders: tuple[str, ...] = ()
    """The machines with workers that send now, one entry for each worker."""
    silent: tuple[str, ...] = ()
    """The machines with workers that have not been heard of."""

    @property
    def calm(self) -> bool:
        """Nothing needs anybody now."""
        quiet = not self.posts.error and self.homeless is None
        return not self.outages and not self.approvals and quiet and self.sender_runs


class Status:
    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings

    async def report(self) -> StatusReport:
        at = now()
        async with self._db.read() as tx:
            known = await servers.every(tx)
            names = {server.id: server.name for server in known}
            windows = await servers.active_windows(tx, at)
            unresolved = await outages.unresolved(tx)
            on = await outages.server_names(tx, [outage.id for outage in unresolved])
            ahead = await maintenance.in_states(tx, maintenance.AHEAD)
            pending = await approvals.pending(tx)
            asked = await campaigns.names_of(tx, [each.subject_id for each in pending if each.subject == "campaign"])
            home, others = await self._workspaces(tx)
            senders = await workers.every(tx)
            return StatusReport(
                servers=Counter(effective_state(server, windows.get(server.id)) for server in known),
                campaigns=await status.campaigns_by_state(tx),
                outages=tuple((outage, tuple(on[outage.id])) for outage in unresolved),
                resends=await status.resends_by_state(tx),
                notices=await status.notices_by_state(tx),
                approvals=tuple(pending),
                maintenance=tuple((window, names[window.server_id]) for window in ahead),
                sender_runs=any(at - each.seen_at <= workers.SILENT_AFTER for each in senders),
                senders=tuple(each.host for each in senders if at - each.seen_at <= workers.SILENT_AFTER),
                silent=tuple(each.host for each in senders if at - each.seen_at > workers.SILENT_AFTER),
                posts=await posts.trouble(tx),
                unknown=await status.unknown_deliveries(tx),
                version=own_version(),
                database="SQLite" if self._db.is_sqlite else "PostgreSQL",
                at=at,
                asked=asked,
                paging=await paging.current(tx),
                workspaces=(*home, *others),
                homeless=next((each for each in home if each.removed), None),
                install_url=self._settings.install_url,
            )

    async def _workspaces(self, tx: Tx) -> tuple[list[Workspace], list[Workspace]]:
        """Those that may use Holdfast: the home one, as soon as it is installed there, and those of the settings."""
        if self._settings.install_url is None:
            return [], []
        known = await installs.workspaces(tx)
        home = installs.home_of(known, self._settings.slack_team)
        others = [each for each in known if each.team_id in self._settings.slack_teams and each.team_id != home]
        return [each for each in known if each.team_id == home], others


def own_version() -> str:
    """The version that is installed; `unknown` when it runs from a folder that was never installed."""
    try:
        return version("holdfast")
    except PackageNotFoundError:
        return "unknown"
