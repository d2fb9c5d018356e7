"""The use cases. They know neither Slack nor SQL; every permission is checked here."""

from dataclasses import dataclass

from bot.access import Access
from bot.config import Settings
from bot.services.action_items import ActionItems
from bot.services.approvals import Approvals
from bot.services.asking import Asking
from bot.services.audit import Audit
from bot.services.break_glass import BreakGlasses
from bot.services.break_glass_plans import BreakGlassPlans
from bot.services.campaign_plans import CampaignPlans
from bot.services.campaigns import Campaigns
from bot.services.catching_up import CatchingUp
from bot.services.deciding import Deciding
from bot.services.entry_plans import EntryPlans
from bot.services.home import Home
from bot.services.importing import Importing
from bot.services.maintenance import MaintenanceWindows
from bot.services.maintenance_plans import MaintenancePlans
from bot.services.messages import Messages
from bot.services.notice_plans import NoticePlans
from bot.services.notices import Notices
from bot.services.outage_plans import OutagePlans
from bot.services.outages import Outages
from bot.services.paging import Pager
from bot.services.ramps import Ramps
from bot.services.reconciling import Reconciling
from bot.services.reminder_plans import ReminderPlans
from bot.services.reminders import Reminders
from bot.services.resend_plans import ResendPlans
from bot.services.resends import Resends
from bot.services.server_plans import ServerPlans
from bot.services.server_returns import Returns
from bot.services.servers import Servers
from bot.services.status import Status
from bot.services.undoing import Undoing
from bot.services.unknowns import Unknowns
from storage.db import Database


@dataclass(frozen=True)
class Plans:
    """What every deed would do, read and not done."""

    campaigns: CampaignPlans
    servers: ServerPlans
    outages: OutagePlans
    resends: ResendPlans
    notices: NoticePlans
    maintenance: MaintenancePlans
    reminders: ReminderPlans
    entries: EntryPlans
    glass: BreakGlassPlans
    unknowns: Unknowns


@dataclass(frozen=True)
class Services:
    """All use cases over one database, wired once by `build`."""

    db: Database
    settings: Settings
    access: Access
    campaigns: Campaigns
    importing: Importing
    servers: Servers
    returns: Returns
    outages: Outages
    reminders: Reminders
    approvals: Approvals
    break_glass: BreakGlasses
    resends: Resends
    unknowns: Unknowns
    reconciling: Reconciling
    ramps: Ramps
    notices: Notices
    maintenance: MaintenanceWindows
    status: Status
    messages: Messages
    action_items: ActionItems
    home: Home
    audit: Audit
    deciding: Deciding
    pager: Pager
    plans: Plans
    asking: Asking
    undoing: Undoing
    catching_up: CatchingUp


def build(db: Database, settings: Settings) -> Services:
    access = Access(settings.roles, settings.admins, settings.break_glass)
    campaigns = Campaigns(db, settings, access)
    servers = Servers(db, settings, access)
    outages = Outages(db, settings, access, campaigns, servers)
    approvals = Approvals(settings, access)
    resends = Resends(db, settings, access, approvals)
    notices = Notices(db, settings, access, approvals)
    maintenance = MaintenanceWindows(db, settings, access, campaigns, servers, outages)
    deciding = Deciding(db, access, approvals)
    glasses = BreakGlasses(db, settings, access)
    unknowns = Unknowns(db, settings, access)
    return Services(
        db=db,
        settings=settings,
        access=access,
        campaigns=campaigns,
        importing=Importing(db, settings, access),
        servers=servers,
        returns=Returns(db, settings.outages, servers),
        outages=outages,
        reminders=Reminders(db, settings, access),
        approvals=approvals,
        break_glass=glasses,
        resends=resends,
        unknowns=unknowns,
        reconciling=Reconciling(db, settings, access),
        ramps=Ramps(db, settings, access),
        notices=notices,
        maintenance=maintenance,
        status=Status(db, settings),
        messages=Messages(db, access),
        action_items=ActionItems(db, access),
        home=Home(db, access, approvals, resends, notices, campaigns, settings.ramp),
        audit=Audit(db, access),
        pager=Pager(db, settings),
        plans=Plans(
            campaigns=CampaignPlans(db, settings, access),
            servers=ServerPlans(db, settings.outages, access, servers),
            outages=OutagePlans(db, settings.outages, access, servers),
            resends=ResendPlans(db, settings, access, approvals),
            notices=NoticePlans(db, settings, access, approvals),
            maintenance=MaintenancePlans(db, access, maintenance),
            reminders=ReminderPlans(db, access),
            entries=EntryPlans(db, access),
            glass=BreakGlassPlans(db, settings, glasses),
            unknowns=unknowns,
        ),
        asking=Asking(db, settings),
        undoing=Undoing(db, access, servers, maintenance),
        deciding=deciding,
        catching_up=CatchingUp(access, outages, deciding),
    )
