"""`holdfast manifest`: what is pasted at Slack."""

from pathlib import Path

import pytest

from tests.terminal_world import Holdfast, holdfast

__all__ = ["holdfast"]

ROOT = Path(__file__).parents[2]


def test_without_more_it_is_for_socket_mode(holdfast: Holdfast) -> None:
    ran = holdfast("manifest")

    assert ran.code == 0
    assert ran.out == (ROOT / "manifest.yml").read_text()


def test_the_public_address_of_the_settings_is_used(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_PUBLIC_URL", "https://mail.example.com/")

    ran = holdfast("manifest", "--mode", "http")

    assert ran.code == 0
    assert "request_url: https://mail.example.com/slack/events" in ran.out


def test_another_mode_is_refused_in_a_sentence(holdfast: Holdfast) -> None:
    ran = holdfast("manifest", "--mode", "pigeon")

    assert ran.code == 1
    assert ran.err == "--mode is socket or http, not pigeon.\n"
