"""What a server's reply means for a delivery: facts/mail.md as a table, checked line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.mail.replies import Outcome, Reply, Stage, judge

BEFORE_THE_DOT = [stage for stage in Stage if stage not in {Stage.dot, Stage.quit}]


def test_it_counts_a_250_to_the_final_dot_as_delivered_for_ever() -> None:
    verdict = judge(Stage.dot, Reply(250, "2.0.0 Ok: queued as 3F2"))
    assert (verdict.outcome, verdict.retry, verdict.suppress) == (Outcome.delivered, "never", False)


@pytest.mark.parametrize("stage", BEFORE_THE_DOT)
def test_a_connection_lost_before_the_final_dot_is_safe_to_send_again(stage: Stage) -> None:
    verdict = judge(stage, None)
    assert (verdict.outcome, verdict.retry, verdict.blame) == (Outcome.failed_temporary, "safe", "network")


def test_a_connection_lost_after_the_final_dot_is_left_to_a_person() -> None:
    verdict = judge(Stage.dot, None)
    assert (verdict.outcome, verdict.retry, verdict.suppress) == (Outcome.unknown, "decide", False)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.quit])
@pytest.mark.parametrize("reply", [Reply(421, "4.3.2 closing"), Reply(451), Reply(450, "4.2.1 busy"), Reply(499)])
def test_a_4xx_to_any_command_is_safe_to_send_again(stage: Stage, reply: Reply) -> None:
    verdict = judge(stage, reply)
    assert (verdict.outcome, verdict.retry, verdict.suppress) == (Outcome.failed_temporary, "safe", False)


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        (Stage.rcpt, Reply(550, "5.1.1 no such user")),
        (Stage.dot, Reply(550, "5.1.1 no such user")),
        (Stage.rcpt, Reply(556, "5.1.10 null MX")),
        (Stage.rcpt, Reply(550, "5.2.1 mailbox disabled")),
        (Stage.rcpt, Reply(550, "No such user here")),
        (Stage.rcpt, Reply(551, "User not local")),
        (Stage.rcpt, Reply(553, "sorry, no mailbox here by that name. (#5.1.1)")),
        (Stage.rcpt, Reply(550, "5.7.17 owner has changed")),
    ],
)
def test_an_address_that_does_not_exist_is_suppressed(stage: Stage, reply: Reply) -> None:
    verdict = judge(stage, reply)
    assert verdict.outcome is Outcome.failed_permanent
    assert (verdict.suppress, verdict.blame, verdict.retry) == (True, "recipient", "never")


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        (Stage.greeting, Reply(554, "no service for you")),
        (Stage.greeting, Reply(554, "5.7.1 blocked")),
        (Stage.auth, Reply(535, "5.7.8 bad credentials")),
        (Stage.auth, Reply(535, "bad credentials")),
        (Stage.mail, Reply(530, "authentication required")),
        (Stage.mail, Reply(550, "5.1.8 sender domain has no MX")),
        (Stage.mail, Reply(550, "5.1.0 sender rejected")),
        (Stage.mail, Reply(553, "sender not allowed")),
        (Stage.rcpt, Reply(550, "5.7.1 relaying denied")),
        (Stage.rcpt, Reply(550, "relay not permitted")),
        (Stage.rcpt, Reply(553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)")),
        (Stage.rcpt, Reply(550, "Your IP is on a blocklist")),
        (Stage.rcpt, Reply(554, "transaction failed")),
        (Stage.data, Reply(554, "no valid recipients")),
        (Stage.dot, Reply(550, "5.7.515 does not meet the required authentication level")),
        (Stage.dot, Reply(554, "looks like spam")),
        (Stage.dot, Reply(550, "5.6.0 lone CR or LF")),
    ],
)
def test_a_refusal_of_the_sender_waits_for_the_cause_and_suppresses_nobody(stage: Stage, reply: Reply) -> None:
    verdict = judge(stage, reply)
    assert verdict.outcome is Outcome.failed_permanent
    assert (verdict.suppress, verdict.blame, verdict.retry) == (False, "sender", "after_fix")


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        (Stage.mail, Reply(552, "message size exceeds fixed limit")),
        (Stage.mail, Reply(552, "5.3.4 too big")),
        (Stage.rcpt, Reply(552, "5.2.3 too big for this mailbox")),
        (Stage.dot, Reply(552, "too much mail data")),
    ],
)
def test_a_message_too_big_is_the_senders_to_fix(stage: Stage, reply: Reply) -> None:
    verdict = judge(stage, reply)
    assert (verdict.suppress, verdict.blame, verdict.retry) == (False, "sender", "after_fix")
    assert "too big" in verdict.why


@pytest.mark.parametrize("reply", [Reply(552, "5.2.2 mailbox full"), Reply(552, "over quota")])
def test_a_full_mailbox_is_not_suppressed(reply: Reply) -> None:
    verdict = judge(Stage.rcpt, reply)
    assert (verdict.suppress, verdict.blame, verdict.retry) == (False, "recipient", "after_fix")


@pytest.mark.parametrize("code", [0, 1, 99, 150, 354, 600, 999])
def test_nonsense_after_the_final_dot_is_unknown_and_before_it_is_safe(code: int) -> None:
    assert judge(Stage.dot, Reply(code)).outcome is Outcome.unknown
    assert judge(Stage.data, Reply(code)).retry == "safe"


@pytest.mark.parametrize(
    ("text", "enhanced"),
    [
        ("5.1.1 no such user", "5.1.1"),
        ("5.7.515 Access denied", "5.7.515"),
        ("no mailbox (#5.1.1)", "5.1.1"),
        ("5.1.1", "5.1.1"),
        ("10.5.1.1 is blocked", None),
        ("5.1.1.4 is not a code", None),
        ("3.1.1 no class", None),
        ("", None),
    ],
)
def test_it_reads_the_enhanced_code(text: str, enhanced: str | None) -> None:
    assert Reply(550, text).enhanced == enhanced


def test_it_prints_a_reply_as_the_server_said_it() -> None:
    assert str(Reply(550, "5.1.1 no such user")) == "550 5.1.1 no such user"
    assert str(Reply(421)) == "421"


@given(st.sampled_from(Stage), st.integers(-5, 2000), st.text(max_size=40))
def test_it_never_calls_lost_what_may_have_arrived(stage: Stage, code: int, text: str) -> None:
    verdict = judge(stage, Reply(code, text))
    if verdict.retry == "safe":
        assert 400 <= code < 500 or stage not in {Stage.dot, Stage.quit}
    if verdict.outcome is Outcome.delivered:
        assert stage is Stage.dot
        assert 200 <= code < 300
    if verdict.suppress:
        assert verdict.retry == "never"
        assert stage in {Stage.rcpt, Stage.data, Stage.body, Stage.dot}
