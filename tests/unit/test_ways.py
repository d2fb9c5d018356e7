"""Which ways mail goes: pools, weights, failover and return, as plain arithmetic."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.models import Health, Server
from storage.ways import Ways

NIGHT = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
A, B, C, OUTSIDE = 1, 2, 3, 9


def server(server_id: int, pool: str | None = "marketing", weight: int = 1, **columns: Any) -> Server:
    values = {"health": Health.UP, "failover_to_id": None, "drained_at": None, "returning_since": None, **columns}
    return Server(id=server_id, name=f"relay-{server_id}", pool=pool, weight=weight, **values)


def ways(*servers: Server, away: set[int] | None = None, troubled: set[int] | None = None) -> Ways:
    return Ways(servers, away or set(), troubled or set(), NIGHT)


def of(found: Ways, server_id: int) -> Mapping[int, Any]:
    return {way.server_id: pytest.approx(way.part) for way in found.of(server_id)}


def returns(minutes: float, of_minutes: float = 10, **columns: Any) -> dict[str, Any]:
    since = NIGHT - timedelta(minutes=minutes)
    until = since + timedelta(minutes=of_minutes)
    return {"returning_from_id": OUTSIDE, "returning_since": since, "returning_until": until, **columns}


def test_a_server_without_a_pool_carries_its_own() -> None:
    assert of(ways(server(A, pool=None), server(B)), A) == {A: 1}


def test_the_members_of_a_pool_share_the_mail_of_each_by_weight() -> None:
    found = ways(server(A, weight=3), server(B), server(OUTSIDE, pool=None))
    assert of(found, A) == of(found, B) == {A: 0.75, B: 0.25}
    assert found.carried_by(A) == [A, B]


@pytest.mark.parametrize(
    "gone",
    [{"health": Health.DOWN}, {"drained_at": NIGHT}],
    ids=["down", "drained"],
)
def test_who_cannot_gives_its_part_to_the_others(gone: dict[str, Any]) -> None:
    assert of(ways(server(A, weight=8, **gone), server(B, weight=3), server(C)), A) == {B: 0.75, C: 0.25}


def test_maintenance_and_an_outage_that_goes_on_leave_out_too() -> None:
    servers = server(A), server(B), server(C)
    assert of(ways(*servers, away={A}), A) == {B: 0.5, C: 0.5}
    assert of(ways(*servers, troubled={B}), A) == {A: 0.5, C: 0.5}
    assert of(ways(*servers, away={A}, troubled={B}), A) == {C: 1}


def test_who_is_only_in_an_outage_is_better_than_nobody() -> None:
    assert of(ways(server(A, health=Health.DOWN), server(B), troubled={A, B}), A) == {B: 1}


def test_where_nobody_is_left_everything_stays_where_it_is() -> None:
    found = ways(server(A, weight=3, health=Health.DOWN), server(B, health=Health.DOWN))
    assert of(found, A) == {A: 0.75, B: 0.25}


def test_a_weight_of_zero_takes_nothing_while_another_can() -> None:
    assert of(ways(server(A), server(B, weight=0)), B) == {A: 1}
    assert of(ways(server(A, health=Health.DOWN), server(B, weight=0)), A) == {B: 1}
    assert of(ways(server(A, weight=0), server(B, weight=0)), A) == {A: 0.5, B: 0.5}


def test_a_member_that_is_failed_over_gives_its_part_to_that_server_alone() -> None:
    found = ways(server(A, weight=3, failover_to_id=OUTSIDE), server(B), server(OUTSIDE, pool=None))
    assert of(found, B) == {OUTSIDE: 0.75, B: 0.25}
    assert of(found, OUTSIDE) == {OUTSIDE: 1}
    inside = ways(server(A, weight=3, failover_to_id=B), server(B))
    assert of(inside, A) == {B: 1}


def test_a_backup_of_the_last_member_carries_the_whole_pool() -> None:
    down: dict[str, Any] = {"health": Health.DOWN}
    found = ways(server(A, failover_to_id=OUTSIDE, **down), server(B, weight=5, **down), server(OUTSIDE, pool=None))
    assert of(found, B) == {OUTSIDE: 1}


def test_a_return_begins_with_a_twentieth_and_grows_with_the_clock() -> None:
    carrier = server(OUTSIDE, pool=None)
    parts = [of(ways(server(A, pool=None, **returns(gone)), carrier), A) for gone in (0, 5, 9.999, 10, 20)]
    assert parts[0] == {A: 0.05, OUTSIDE: 0.95}
    assert parts[1] == {A: 0.525, OUTSIDE: 0.475}
    assert parts[2][A] == pytest.approx(1, abs=0.001)
    assert parts[3] == parts[4] == {A: 1}
    way = ways(server(A, pool=None, **returns(5)), carrier).of(A)
    assert {each.server_id: each.returning for each in way} == {A: True, OUTSIDE: False}


def test_who_fails_while_it_returns_gives_all_back_at_once() -> None:
    carrier = server(OUTSIDE, pool=None)
    assert of(ways(server(A, pool=None, health=Health.DOWN, **returns(5)), carrier), A) == {OUTSIDE: 1}
    gone = server(OUTSIDE, pool=None, health=Health.DOWN)
    assert of(ways(server(A, pool=None, **returns(5)), gone), A) == {A: 1}


def test_a_member_of_a_pool_returns_within_its_part() -> None:
    found = ways(server(A, weight=3, **returns(0)), server(B), server(OUTSIDE, pool=None))
    assert of(found, B) == {OUTSIDE: 0.75 * 0.95, B: 0.25, A: 0.75 * 0.05}
    failed = ways(server(A, weight=3, health=Health.DOWN, **returns(0)), server(B), server(OUTSIDE, pool=None))
    assert of(failed, B) == {OUTSIDE: 0.75, B: 0.25}


def test_leaving_one_out_says_who_has_no_other_way() -> None:
    found = ways(server(A), server(B), server(C, pool=None))
    assert found.without(A).carried_by(A) == []
    assert found.without(C).carried_by(C) == [C]
    assert found.claimed_by(A) == [A, B]


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(list(Health)), st.booleans(), st.booleans(), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_the_ways_of_any_mail_are_one_whole(
    rows: list[tuple[int, Health, bool, bool, bool]],
) -> None:
    pooled = [
        server(
            n,
            weight=weight,
            health=health,
            drained_at=NIGHT if drained else None,
            failover_to_id=OUTSIDE if over else None,
            **(returns(3) if back else {}),
        )
        for n, (weight, health, drained, over, back) in enumerate(rows, 10)
    ]
    found = ways(*pooled, server(OUTSIDE, pool=None))
    for each in (*pooled, server(OUTSIDE, pool=None)):
        parts = [way.part for way in found.of(each.id)]
        assert sum(parts) == pytest.approx(1)
        assert all(part > 0 for part in parts)
