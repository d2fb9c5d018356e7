"""What people type for a name: exact, begun, ambiguous, mistyped."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.errors import BadInputError, NotFoundError
from bot.services.names import check_name, complete
from bot.services.words import in_utc, joined, moment, number, to_the_second
from bot.slack.plain import mrkdwn

CAMPAIGNS = ["spring-sale", "spring-news", "autumn-sale"]


def test_it_takes_the_exact_name_even_when_another_begins_with_it() -> None:
    assert complete("spring", ["spring-sale", "spring"], "campaign") == "spring"


def test_it_completes_a_name_that_is_begun() -> None:
    assert complete("aut", CAMPAIGNS, "campaign") == "autumn-sale"


def test_case_and_spaces_around_do_not_matter() -> None:
    assert complete(" Autumn ", CAMPAIGNS, "campaign") == "autumn-sale"


def test_it_names_the_candidates_of_an_ambiguous_word() -> None:
    with pytest.raises(
        NotFoundError, match=r"“spring” fits several campaigns: spring-news and spring-sale\. Type more"
    ):
        complete("spring", CAMPAIGNS, "campaign")


def test_it_offers_near_names_for_a_typing_error() -> None:
    with pytest.raises(NotFoundError, match=r"no campaign “sprign-sale”\. Did you mean spring-sale or spring-news"):
        complete("sprign-sale", CAMPAIGNS, "campaign")


def test_it_offers_names_that_contain_the_word() -> None:
    with pytest.raises(NotFoundError, match="Did you mean autumn-sale or spring-sale"):
        complete("sale", CAMPAIGNS, "campaign")


def test_it_lists_what_there_is_when_nothing_is_near() -> None:
    with pytest.raises(NotFoundError, match=r"There is autumn-sale, spring-news and spring-sale\."):
        complete("zzz", CAMPAIGNS, "campaign")


def test_a_long_list_is_cut() -> None:
    with pytest.raises(NotFoundError, match=r"c07 and 12 more\."):
        complete("zzz", [f"c{n:02}" for n in range(20)], "campaign")


def test_it_says_what_to_do_when_there_is_nothing() -> None:
    with pytest.raises(NotFoundError, match=r"There is no server yet\. Add one\."):
        complete("primary", [], "server", "Add one.")


def test_an_empty_word_is_answered_with_the_names() -> None:
    with pytest.raises(NotFoundError, match="Which campaign"):
        complete("  ", CAMPAIGNS, "campaign")


def test_control_characters_and_novels_do_not_come_back() -> None:
    with pytest.raises(NotFoundError) as caught:
        complete("x\n\x00" + "y" * 500, CAMPAIGNS, "campaign")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["spring-sale", "7", "a" * 63])
def test_good_names_pass(name: str) -> None:
    assert check_name(name, "campaign") == name


@pytest.mark.parametrize("name", ["", "-a", "Spring Sale", "a" * 64, "a\n", "spring_sale", "é"])
def test_bad_names_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(BadInputError, match="lower-case letters, digits and hyphens"):
        check_name(name, "campaign")


def test_a_bad_name_gets_a_proposal() -> None:
    with pytest.raises(BadInputError, match=r"as in spring-sale-2026\."):
        check_name("Spring Sale (2026)", "campaign")


def test_all_is_no_name() -> None:
    with pytest.raises(BadInputError, match="means every one"):
        check_name("all", "campaign")


def test_lists_and_numbers_read_as_sentences() -> None:
    assert [joined(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert [number(1, "recipient"), number(1240, "recipient")] == ["1 recipient", "1,240 recipients"]


def test_a_moment_is_on_the_readers_clock_and_has_its_date_unless_it_is_near() -> None:
    now, madrid = datetime(2026, 5, 3, 22, 30, tzinfo=UTC), ZoneInfo("Europe/Madrid")
    near, far = moment(now + timedelta(hours=3), now), moment(now - timedelta(days=1), now)
    assert [mrkdwn(near, zone=madrid), mrkdwn(far, zone=madrid)] == ["03:30", "00:30 on May 3, 2026"]
    assert [in_utc(near), in_utc(far)] == ["01:30 UTC", "22:30 on 2026-05-02 UTC"]
    assert mrkdwn(to_the_second(now), zone=madrid) == "00:30:00"
