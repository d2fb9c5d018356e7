"""The use cases. They know neither Slack nor SQL; every permission is checked here."""

from dataclasses import dataclass

from bot.access import Access
from bot.config import Settings
from bot.services.action_items import ActionItems
from bot.services.approvals import Approvals
from bot.services.campaigns import Campaigns
from bot.services.importing import Importing
from bot.services.maintenance import MaintenanceWindows
from bot.services.messages import Messages
from bot.services.notices import Notices
from bot.services.outages import Outages
from bot.services.resends import Resends
from bot.services.servers import Servers
from bot.services.status import Status
from storage.db import Database


@dataclass(frozen=True)
class Services:
    """All use cases over one database, wired once by `build`."""

    db: Database
    settings: Settings
    access: Access
    campaigns: Campaigns
    importing: Importing
    servers: Servers
    outages: Outages
    approvals: Approvals
    resends: Resends
    notices: Notices
    maintenance: MaintenanceWindows
    status: Status
    messages: Messages
    action_items: ActionItems


def build(db: Database, settings: Settings) -> Services:
    access = Access(settings.roles, settings.admins)
    campaigns = Campaigns(db, settings, access)
    servers = Servers(db, settings, access)
    outages = Outages(db, settings, access, campaigns, servers)
    approvals = Approvals(settings, access)
    return Services(
        db=db,
        settings=settings,
        access=access,
        campaigns=campaigns,
        importing=Importing(db, settings, access),
        servers=servers,
        outages=outages,
        approvals=approvals,
        resends=Resends(db, settings, access, approvals),
        notices=Notices(db, settings, access, approvals),
        maintenance=MaintenanceWindows(db, settings, access, campaigns, servers, outages),
        status=Status(db, settings),
        messages=Messages(db, access),
        action_items=ActionItems(db, access),
    )
