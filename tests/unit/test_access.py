"""Who may what: open to look, declare and acknowledge; closed where customers are mailed."""

import pytest

from bot.access import HOLDFAST, OPEN, PERMISSIONS, Access, Actor
from bot.config import RoleSettings
from bot.errors import NotAllowedError

SENDER = Actor("U1", "maria")
APPROVER = Actor("U2", "jonas")
ANYBODY = Actor("U9", "guest")


def access(**roles: list[str]) -> Access:
    return Access(RoleSettings.model_validate({"sender": ["U1"], "approver": ["U2"], **roles}), ["U7"])


@pytest.mark.parametrize("permission", sorted(OPEN))
def test_looking_declaring_and_acknowledging_are_open_to_everybody(permission: str) -> None:
    access(responder=[]).require(ANYBODY, permission)


@pytest.mark.parametrize("permission", ["campaign.start", "campaign.resume", "campaign.cancel", "notice.send"])
def test_what_mails_customers_is_closed_until_somebody_has_the_role(permission: str) -> None:
    nobody_yet = Access(RoleSettings(), [])
    with pytest.raises(NotAllowedError, match="Nobody has it yet"):
        nobody_yet.require(ANYBODY, permission)


def test_a_refusal_names_who_may() -> None:
    with pytest.raises(NotAllowedError, match="<@U1>"):
        access().require(ANYBODY, "campaign.start")


def test_a_sender_does_not_approve_and_an_approver_does_not_send() -> None:
    roles = access()
    roles.require(SENDER, "campaign.start")
    assert not roles.allows(SENDER, "resend.approve")
    roles.require(APPROVER, "resend.approve")
    assert not roles.allows(APPROVER, "campaign.start")


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_admins_the_terminal_and_holdfast_itself_may_everything(permission: str) -> None:
    roles = access()
    for actor in (Actor("U7", "ana"), Actor("root", "root", source="terminal"), HOLDFAST):
        roles.require(actor, permission)


def test_everybody_may_pause_by_default() -> None:
    Access(RoleSettings(), []).require(ANYBODY, "campaign.pause")


@pytest.mark.parametrize("permission", sorted({*OPEN, *PERMISSIONS} - {"look"}))
def test_somebody_of_another_workspace_may_look_and_no_more_whatever_the_roles_say(permission: str) -> None:
    guest = Actor("U7", "guest", outsider=True)
    everybody = access(responder=["*"], sender=["*"], approver=["*"], admin=["*"])

    everybody.require(guest, "look")
    with pytest.raises(NotAllowedError, match="from another workspace"):
        everybody.require(guest, permission)
