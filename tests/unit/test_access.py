"""Who may what: open to look, declare and acknowledge; closed where customers are mailed."""

from datetime import timedelta

import pytest
import time_machine

from bot.access import HOLDFAST, OPEN, PERMISSIONS, Access, Actor, Glass, Group, Groups
from bot.clock import now
from bot.config import BreakGlassSettings, RoleSettings
from bot.errors import NotAllowedError, RoleMissingError

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


# User groups and viewers


def grouped(roles: Access, *members: str, word: str = "@senders") -> Access:
    """Slack has said who is in the group."""
    roles.learn_groups(Groups({word: Group("S0SENDERS", frozenset(members))}))
    return roles


def test_who_is_in_a_group_of_the_settings_has_its_role() -> None:
    roles = grouped(access(sender=["@senders"]), "U5")
    roles.require(Actor("U5", "eva"), "campaign.start")
    assert not roles.allows(Actor("U5", "eva"), "resend.approve")


def test_a_refusal_mentions_the_group_that_may() -> None:
    roles = grouped(access(sender=["@senders", "U1"]), "U5")
    with pytest.raises(RoleMissingError, match=r"Ask <!subteam\^S0SENDERS>, <@U1>\.$"):
        roles.require(ANYBODY, "campaign.start")


def test_a_group_that_nobody_has_read_gives_nothing_and_the_refusal_says_why() -> None:
    roles = access(sender=["@senders", "U1"])
    roles.learn_groups(Groups(trouble="Slack is away."))
    roles.require(SENDER, "campaign.start")
    with pytest.raises(RoleMissingError, match=r"Ask @senders, <@U1>\. Slack is away\. Until then only people whom"):
        roles.require(Actor("U5", "eva"), "campaign.start")


def test_a_refusal_names_a_few_of_many() -> None:
    with pytest.raises(RoleMissingError, match=r"<@U15> and 15 more\.$"):
        access(sender=[f"U{number}" for number in range(11, 31)]).require(ANYBODY, "campaign.start")


@pytest.mark.parametrize("viewer", [["U9"], ["*"], ["@lookers"]])
def test_a_viewer_may_look_declare_and_acknowledge_and_no_more(viewer: list[str]) -> None:
    roles = grouped(access(viewer=viewer, responder=["*"]), "U9", word="@lookers")

    for permission in ("look", "outage.declare", "outage.acknowledge"):
        roles.require(ANYBODY, permission)
    for permission in ("outage.update", "campaign.pause", "campaign.start"):
        assert not roles.allows(ANYBODY, permission)
    with pytest.raises(RoleMissingError, match=r"You are a viewer: .* Ask anybody who is no viewer\.$"):
        roles.require(ANYBODY, "campaign.pause")


def test_who_is_named_in_another_role_has_it_whatever_a_star_makes_of_them() -> None:
    roles = access(viewer=["*"], responder=["U9"])
    roles.require(ANYBODY, "campaign.pause")
    roles.require(SENDER, "campaign.start")


def test_while_viewers_cannot_be_read_a_star_lets_people_pause_but_not_mail() -> None:
    roles = access(viewer=["@lookers"], sender=["*"])
    roles.require(ANYBODY, "campaign.pause")
    assert not roles.allows(ANYBODY, "campaign.start")
    grouped(roles, "U8", word="@lookers").require(ANYBODY, "campaign.start")


# A broken glass


def test_a_broken_glass_gives_a_responder_the_role_sender_until_its_moment() -> None:
    roles = Access(RoleSettings(sender=["U1"]), [], BreakGlassSettings())
    roles.learn_glasses({"U9": Glass(1, now() + timedelta(minutes=60))})

    roles.require(ANYBODY, "campaign.start")
    for permission in ("resend.approve", "server.add"):
        assert not roles.allows(ANYBODY, permission)
    with time_machine.travel(now() + timedelta(minutes=60), tick=False):
        assert not roles.allows(ANYBODY, "campaign.start")


def test_a_broken_glass_of_who_is_no_responder_any_more_gives_nothing() -> None:
    roles = Access(RoleSettings(responder=["U1"]), [], BreakGlassSettings())
    roles.learn_glasses({"U9": Glass(1, now() + timedelta(minutes=60))})
    assert not roles.allows(ANYBODY, "campaign.start")


def test_a_refusal_tells_a_responder_of_the_way_out_in_an_emergency() -> None:
    roles = Access(RoleSettings(sender=["U1"]), [], BreakGlassSettings())
    with pytest.raises(RoleMissingError, match=r"it cannot wait: /holdfast break-glass REASON$"):
        roles.require(ANYBODY, "campaign.start")
    with pytest.raises(RoleMissingError, match=r"Ask <@U1>\.$"):
        access().require(ANYBODY, "campaign.start")
