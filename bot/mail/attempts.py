"""How an attempt to send is written into the ledger."""

from typing import Final

from bot.clock import now
from bot.errors import BotError
from bot.mail.jobs import Item
from bot.mail.replies import Judgement
from bot.mail.transaction import Result
from storage.models import DeliveryStatus, Retry
from storage.results import Ending

REPLY_MAX: Final = 200
"""Characters of what a server said that are kept."""


def ending_of(item: Item, server_id: int, result: Result, judgement: Judgement) -> Ending:
    """What the server's answer, or its silence, means for this delivery."""
    delivered = judgement.blame == "nobody"
    return Ending(
        campaign_id=item.job.campaign_id,
        n=item.row.n,
        status=judgement.outcome.value,
        at=now(),
        server_id=server_id,
        stage=None if delivered else result.stage.value,
        code=result.reply.code if result.reply else None,
        reply=None if delivered else (str(result.reply) if result.reply else result.text)[:REPLY_MAX],
        retry=Retry(judgement.retry).value,
    )


def unusable(item: Item, server_id: int, error: BotError) -> Ending:
    """A recipient whose message cannot be made: never sent, and the ledger says why."""
    return Ending(
        campaign_id=item.job.campaign_id,
        n=item.row.n,
        status=DeliveryStatus.FAILED_PERMANENT,
        at=now(),
        server_id=server_id,
        reply=str(error)[:REPLY_MAX],
        retry=Retry.AFTER_FIX,
        attempted=False,
    )
