"""`holdfast page --test` tries each road, and `holdfast check` says whether there are any."""

import pytest

from tests.terminal_world import Holdfast, holdfast

__all__ = ["holdfast"]


def test_each_road_is_tried_and_named_without_its_secrets(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_PAGING_URLS", "json://127.0.0.1:1/sesame foo://sesame")
    monkeypatch.setenv("HOLDFAST_PAGING_EMAIL", "ops@example.com")

    ran = holdfast("page", "--test")

    assert ran.code == 1
    assert "✗ fail  JSON: it cannot be reached." in ran.out
    assert "✗ fail  road 2: its URL is not one that Apprise understands." in ran.out
    assert "✗ fail  mail to ops@example.com: no mail server is up." in ran.out
    assert "sesame" not in ran.out + ran.err
    assert "✗ fail  paging: HOLDFAST_PAGING_URLS: the URL number 2" in holdfast("check").out


def test_without_roads_it_says_which_setting_makes_one(holdfast: Holdfast) -> None:
    assert "HOLDFAST_PAGING_EMAIL" in holdfast("page", "--test").err
    assert "To try it: holdfast page --test" in holdfast("page").err
    assert "! warn  paging: No other road to people is set" in holdfast("check").out
