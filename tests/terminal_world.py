"""Typing at a terminal in a folder of one's own, and seeing what comes back."""

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from bot.cli import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Holdfast = Callable[..., Ran]


@pytest.fixture
def holdfast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Holdfast:
    """`holdfast("do", "/campaign list")` in an empty folder, without any setting of the machine's."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("HOLDFAST_") or name in {"TZ", "COLUMNS"}:
            monkeypatch.delenv(name)

    def type_in(*words: str) -> Ran:
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        monkeypatch.setattr(sys, "argv", ["holdfast", *words])
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
            structlog.reset_defaults()
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return Ran(int(ended.value.code or 0), shown.out, shown.err)

    return type_in


@pytest.fixture
def server_set(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail server in the settings. Nothing listens there, and nothing is sent."""
    monkeypatch.setenv("HOLDFAST_SERVERS__PRIMARY__HOST", "127.0.0.1")
    monkeypatch.setenv("HOLDFAST_SERVERS__PRIMARY__PORT", "2525")
    monkeypatch.setenv("HOLDFAST_UNSUBSCRIBE_MAILTO", "unsubscribe@shop.example")


MESSAGE = """\
From: Shop <shop@shop.example>
Subject: Spring sale
Content-Type: text/plain; charset=utf-8

Hello {{ name }}, the sale has begun.
"""
RECIPIENTS = "email,name\nada@example.net,Ada\nbob@example.net,Bob\n"


def write_campaign(folder: Path) -> None:
    """message.eml and recipients.csv, for two people."""
    (folder / "message.eml").write_text(MESSAGE)
    (folder / "recipients.csv").write_text(RECIPIENTS)
