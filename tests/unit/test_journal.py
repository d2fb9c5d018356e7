"""What a worker's journal says after it: every result, and who was in flight, whatever moment it died."""

import errno
import os
from pathlib import Path

import pytest

from bot.errors import BotError
from bot.mail import journal as module
from bot.mail.journal import Journal, JournalError, Recorded
from bot.mail.replies import Outcome


def fresh(folder: Path, *, slots: int = 4, capacity: int = 16) -> Journal:
    return Journal.create(folder / "w1.journal", "w1", slots=slots, capacity=capacity)


def test_a_delivery_in_flight_is_unknown(tmp_path: Path) -> None:
    journal = fresh(tmp_path)
    assert journal.intent(0, 7, 1)
    journal.close()
    recovery = Journal.recover(journal.path)
    assert (recovery.worker, recovery.same_boot, recovery.torn) == ("w1", True, False)
    assert (recovery.results, recovery.unknown) == ([], [(7, 1)])


def test_a_result_ends_the_flight_and_is_kept(tmp_path: Path) -> None:
    journal = fresh(tmp_path)
    for n, (outcome, code) in enumerate(zip(Outcome, [250, 451, 550, 0], strict=True)):
        assert journal.intent(n, 7, n)
        journal.result(n, 7, n, outcome, code)
    assert journal.pending == 4
    journal.close()
    recovery = Journal.recover(journal.path)
    assert recovery.unknown == []
    assert recovery.results == [
        Recorded(7, 0, Outcome.delivered, 250),
        Recorded(7, 1, Outcome.failed_temporary, 451),
        Recorded(7, 2, Outcome.failed_permanent, 550),
        Recorded(7, 3, Outcome.unknown, 0),
    ]


def test_a_refusal_before_the_dot_needs_no_intent(tmp_path: Path) -> None:
    journal = fresh(tmp_path)
    journal.result(2, 7, 1, Outcome.failed_permanent, 550)
    journal.close()
    assert Journal.recover(journal.path).results == [Recorded(7, 1, Outcome.failed_permanent, 550)]


def test_an_earlier_failure_does_not_settle_a_later_attempt(tmp_path: Path) -> None:
    journal = fresh(tmp_path)
    journal.intent(0, 7, 1)
    journal.result(0, 7, 1, Outcome.failed_temporary, 451)
    journal.intent(1, 7, 1)
    journal.close()
    recovery = Journal.recover(journal.path)
    assert recovery.results == [Recorded(7, 1, Outcome.failed_temporary, 451)]
    assert recovery.unknown == [(7, 1)]


def test_a_checkpoint_forgets_what_the_database_has_and_keeps_what_came_since(tmp_path: Path) -> None:
    journal = fresh(tmp_path)
    journal.result(0, 7, 1, Outcome.delivered, 250)
    mark = journal.mark()
    journal.intent(0, 7, 2)
    journal.result(1, 7, 3, Outcome.delivered, 250)
    journal.checkpoint(mark)
    assert journal.pending == 1
    journal.close()
    recovery = Journal.recover(journal.path)
    assert recovery.results == [Recorded(7, 3, Outcome.delivered, 250)]
    assert recovery.unknown == [(7, 2)]


def test_the_ring_goes_round_for_ever(tmp_path: Path) -> None:
    journal = fresh(tmp_path)
    for n in range(1000):
        assert journal.intent(n % 4, 7, n)
        journal.result(n % 4, 7, n, Outcome.delivered, 250)
        if n % 5 == 0:
            journal.checkpoint()
    journal.close()
    assert [recorded.n for recorded in Journal.recover(journal.path).results] == [996, 997, 998, 999]


def test_a_full_journal_lets_no_further_dot_out_but_takes_the_results_of_those_in_flight(tmp_path: Path) -> None:
    journal = fresh(tmp_path, slots=2, capacity=4)
    assert journal.intent(0, 7, 100)
    for n in range(3):
        journal.result(1, 7, n, Outcome.failed_permanent, 550)
    assert journal.full
    assert not journal.intent(1, 7, 101)
    with pytest.raises(JournalError, match=r"is full: the database has not taken its 3 results"):
        journal.result(1, 7, 101, Outcome.failed_permanent, 550)
    journal.result(0, 7, 100, Outcome.delivered, 250)
    journal.checkpoint()
    assert journal.pending == 0
    assert journal.intent(1, 7, 101)
    journal.close()
    assert Journal.recover(journal.path).unknown == [(7, 101)]


def test_mixing_up_slots_is_a_mistake(tmp_path: Path) -> None:
    journal = fresh(tmp_path)
    journal.intent(0, 7, 1)
    with pytest.raises(ValueError, match="in flight"):
        journal.intent(0, 7, 2)
    with pytest.raises(ValueError, match="in flight"):
        journal.result(0, 7, 2, Outcome.delivered, 250)
    with pytest.raises(ValueError, match="mark"):
        journal.checkpoint(journal.mark() + 1)
    journal.close()


def test_a_journal_with_something_in_it_is_never_overwritten(tmp_path: Path) -> None:
    journal = fresh(tmp_path)
    journal.intent(0, 7, 1)
    journal.close()
    with pytest.raises(JournalError, match="Recover it"):
        fresh(tmp_path)
    assert Journal.recover(journal.path).unknown == [(7, 1)]
    Journal.discard(journal.path)
    fresh(tmp_path).close()


def test_an_empty_one_is_simply_replaced(tmp_path: Path) -> None:
    journal = fresh(tmp_path)
    journal.result(0, 7, 1, Outcome.delivered, 250)
    journal.checkpoint()
    journal.close()
    assert Journal.recover(journal.path).is_empty
    fresh(tmp_path).close()


def test_a_living_workers_journal_is_left_alone(tmp_path: Path) -> None:
    journal = fresh(tmp_path)
    for attempt in (
        lambda: fresh(tmp_path),
        lambda: Journal.recover(journal.path),
        lambda: Journal.discard(journal.path),
    ):
        with pytest.raises(JournalError, match="still running"):
            attempt()
    journal.close()


def test_after_another_boot_the_tail_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = fresh(tmp_path)
    journal.result(0, 7, 1, Outcome.delivered, 250)
    journal.close()
    monkeypatch.setattr(module, "boot_id", lambda: "00000000-0000-0000-0000-000000000000")
    recovery = Journal.recover(journal.path)
    assert not recovery.same_boot
    assert not recovery.is_empty
    assert recovery.results == [Recorded(7, 1, Outcome.delivered, 250)]


@pytest.mark.parametrize("content", [b"", bytes(4096), b"HFJRNL01" + bytes(100)])
def test_a_file_that_power_loss_left_empty_is_torn_and_not_trusted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w1.journal"
    path.write_bytes(content)
    recovery = Journal.recover(path)
    assert (recovery.same_boot, recovery.torn, recovery.results, recovery.unknown) == (False, True, [], [])


def test_a_shortened_file_is_torn_and_not_trusted(tmp_path: Path) -> None:
    journal = fresh(tmp_path)
    journal.close()
    os.truncate(journal.path, 4100)
    recovery = Journal.recover(journal.path)
    assert (recovery.worker, recovery.same_boot, recovery.torn) == ("w1", False, True)


def test_the_journal_of_another_version_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "w1.journal"
    path.write_bytes(b"HFJRNL99" + bytes(5000))
    with pytest.raises(BotError, match="another version of Holdfast"):
        Journal.recover(path)


def test_a_missing_journal_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be opened: No such file or directory"):
        Journal.recover(tmp_path / "w1.journal")


def test_a_full_disk_is_a_sentence_at_the_start_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(JournalError, match="cannot be made: No space left on device"):
        fresh(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be made: No such file or directory"):
        fresh(tmp_path / "nowhere")
