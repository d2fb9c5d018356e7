"""The card of a maintenance window in every state: three clocks, what it hits, and the right buttons."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.demo.fakeslack import block_problems
from bot.services.maintenance_shapes import Collision, MaintenanceStatus
from bot.slack.blocks import View
from bot.slack.plain import plain
from bot.slack.views.maintenance import card
from storage.models import Maintenance, MaintenanceState

START = datetime(2026, 5, 5, 0, 0, tzinfo=UTC)


def status(state: MaintenanceState = MaintenanceState.PROPOSED, **changes: Any) -> MaintenanceStatus:
    window = Maintenance(
        id=4,
        server_id=1,
        state=state,
        starts_at=changes.pop("starts_at", START),
        ends_at=changes.pop("ends_at", START + timedelta(hours=2)),
        zone=changes.pop("zone", "Europe/Madrid"),
        reason=changes.pop("reason", "new disks"),
        created_by="<@U0MARIA>",
        created_at=START - timedelta(hours=12),
    )
    values: dict[str, Any] = {
        "server": "primary",
        "collisions": (),
        "held": (),
        "outcome": None,
        "at": START - timedelta(hours=12),
    }
    return MaintenanceStatus(window=window, **(values | changes))


def buttons(view: View) -> list[str]:
    return [each["action_id"] for block in view.blocks if block["type"] == "actions" for each in block["elements"]]


def shown(view: View) -> str:
    return plain(view.blocks, view.text)


STATES = {
    "proposed": (status(), ["maintenance.confirm", "maintenance.cancel"]),
    "scheduled": (status(MaintenanceState.SCHEDULED), ["maintenance.cancel"]),
    "active": (status(MaintenanceState.ACTIVE, at=START, held=("spring-sale",)), ["maintenance.cancel"]),
    "ending": (status(MaintenanceState.ACTIVE, at=START + timedelta(hours=2)), []),
    "ended": (status(MaintenanceState.ENDED, outcome="The maintenance of primary is over. primary answers."), []),
    "cancelled": (status(MaintenanceState.CANCELLED), []),
}


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_a_message_that_slack_takes_with_the_buttons_that_apply(state: str) -> None:
    given, expected = STATES[state]
    view = card(given)
    assert block_problems(view.blocks) == []
    assert view.text
    assert buttons(view) == expected


def test_the_time_stands_in_the_readers_zone_in_utc_and_in_the_zone_in_which_it_was_meant() -> None:
    view = card(status())
    written = json.dumps(view.blocks)
    assert f"<!date^{int(START.timestamp())}^" in written
    assert "Tue 5 May 2026 00:00 to 02:00" in written
    assert "Europe/Madrid" in written
    assert "Tue 5 May 2026 02:00 to 04:00" in written


def test_in_utc_nothing_is_said_twice() -> None:
    said = shown(card(status(zone="UTC")))
    assert said.count("Tue 5 May 2026 00:00 to 02:00") == 1


def test_a_change_of_the_clocks_is_pointed_out() -> None:
    spring = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    said = shown(card(status(starts_at=spring, ends_at=spring + timedelta(hours=2))))
    assert "go forward by 1 h" in said
    assert "Sun 29 Mar 2026 01:00 to 04:00" in said


def test_a_window_over_midnight_names_both_days() -> None:
    assert status(ends_at=START + timedelta(hours=30)).utc == "Tue 5 May 2026 00:00 to Wed 6 May 06:00"


def test_the_campaigns_that_it_hits_are_named() -> None:
    hits = (Collision("spring-sale", "sending", 760), Collision("newsletter", "scheduled", 0))
    said = shown(card(status(collisions=hits)))
    assert "It would hold 1 campaign" in said
    assert "spring-sale: sending, 760 to go" in said
    assert "newsletter: scheduled; it cannot be started in the window" in said
    assert "none is sending or scheduled" in shown(card(status()))


def test_many_campaigns_with_long_names_still_fit() -> None:
    hits = tuple(Collision(f"campaign-{n}-" + "x" * 50, "sending", n) for n in range(500))
    view = card(status(MaintenanceState.SCHEDULED, collisions=hits, reason="<" * 300))
    assert block_problems(view.blocks) == []
    assert "and 490 more" in shown(view)
    held = card(status(MaintenanceState.ACTIVE, at=START, held=tuple(each.name for each in hits)))
    assert block_problems(held.blocks) == []


def test_the_end_tells_what_it_brought() -> None:
    outcome = "The maintenance of primary is over. primary is still down: outage #1 is open."
    view = card(status(MaintenanceState.ENDED, outcome=outcome))
    assert view.text == outcome
    assert shown(view).count("The maintenance of primary is over") == 1
    assert "primary is still down: outage #1 is open." in shown(view)
