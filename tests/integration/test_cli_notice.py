"""`holdfast notice`: a draft to the people in a CSV; nothing is sent."""

from pathlib import Path

import pytest

from tests.terminal_world import Holdfast, holdfast, server_set, write_campaign

__all__ = ["holdfast", "server_set"]


@pytest.mark.usefixtures("server_set")
def test_it_shows_what_would_be_sent(holdfast: Holdfast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_NOTICES__SENDER", "Shop <shop@shop.example>")
    write_campaign(tmp_path)

    ran = holdfast("notice", "Our mail is late today.", "--csv", "recipients.csv", "--subject", "Late mail")

    assert ran.code == 0
    assert "Our mail is late today." in ran.out
    assert "Late mail" in ran.out
    assert "2 recipients" in ran.out


def test_a_file_that_is_not_there_is_a_sentence(holdfast: Holdfast) -> None:
    ran = holdfast("notice", "Our mail is late today.", "--csv", "missing.csv")

    assert (ran.code, ran.err) == (1, "There is no file missing.csv. Check its name and try again.\n")
