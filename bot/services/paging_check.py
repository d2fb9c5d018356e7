"""`holdfast check` and `holdfast page --test`: are there roads to people while Slack is away, and do they work."""

from bot.config import Settings
from bot.services import paging
from bot.services.checking import Finding
from bot.services.words import joined, number


async def check_paging(settings: Settings) -> list[Finding]:
    """Nothing is sent."""
    if not settings.pages:
        sentence = (
            "No other road to people is set, so nobody is woken while Slack is away. Set HOLDFAST_PAGING_EMAIL or "
            "HOLDFAST_PAGING_URLS, as in docs/operating.md."
        )
        return [Finding("paging", ok=True, sentence=sentence, warn=True)]
    if wrong := await paging.problems(settings):
        sentence = f"{' '.join(wrong)} Correct {'it' if len(wrong) == 1 else 'them'}, then run: holdfast page --test"
        return [Finding("paging", ok=False, sentence=sentence)]
    ways = [number(len(settings.paging_urls), "road")] if settings.paging_urls else []
    ways += [f"mail to {joined(settings.paging_email)}"] if settings.paging_email else []
    after = number(round(settings.paging_after), "minute")
    sentence = f"People are paged by {joined(ways)} when Slack takes nothing for {after}. Try it: holdfast page --test"
    return [Finding("paging", ok=True, sentence=sentence)]


def outcome_of(results: list[paging.Result]) -> list[Finding]:
    """What became of a test page, road by road."""
    return [
        Finding(
            each.road, ok=each.said is None, sentence="it took the test page." if each.said is None else f"{each.said}."
        )
        for each in results
    ]
