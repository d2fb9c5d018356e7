"""A notice: drafted, shown, approved by a second person, sent by another road than the one that is down, once."""

import hashlib
import hmac
from pathlib import Path

from aiohttp import web

from bot.demo.relays import Relay, refuse
from tests.acceptance.support import workplace
from tests.integration.notice_support import SECRET, receiving

TEXT = "Your order mail is late today. We are sorry."


async def test_the_customers_of_an_outage_are_told_once(database_url: str, tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answers.append(web.Response(status=500, text="try again"))
        notices = {
            "notices__sender": "Shop <care@example.com>",
            "notices__webhook_url": receiver.url,
            "notices__webhook_secret": SECRET,
        }
        async with workplace(tmp_path, database_url, settings=notices) as office, office.bot():
            assert isinstance(office.primary, Relay)
            assert isinstance(office.backup, Relay)
            # Sixty people are on both lists.
            await office.campaign(60, "spring-sale")
            await office.campaign(90, "summer-sale")
            await office.type(office.maria, "/campaign start spring-sale", "spring-sale")
            await office.type(office.maria, "/campaign start summer-sale", "summer-sale")
            await office.primary.behave(refuse())
            alert = await office.message("primary is down")
            await office.message("summer-sale is paused", thread_of=alert)

            drafted = await office.slack.command(office.maria, office.ops, f"/notice draft {TEXT}")
            preview = await office.answer(drafted, "90 recipients")
            assert TEXT in preview
            assert "backup" in preview
            assert "care@example.com" in preview
            asked = await office.press(office.maria, drafted.responses[0], "notice.send")
            await office.answer(asked, "approv")
            card = await office.message("Notice 1 to 90 recipients", thread_of=alert)
            own = await office.press(office.maria, card, "notice.approve")
            await office.answer(own, "somebody else must approve")
            assert office.backup.messages == []
            await office.press(office.jonas, card, "notice.approve")

            await office.message("Notice 1 is sent: 90 delivered; webhook delivered", thread_of=alert)
            await office.shows(card, "sent to 90 recipients")
            again = await office.press(office.jonas, card, "notice.approve", stale=True)
            await office.answer(again, "lready approved by @Jonas")
            await office.posted()

            people = [message.recipients[0] for message in office.backup.messages]
            assert len(people) == len(set(people)) == 90
            assert {message.mail_from for message in office.backup.messages} == {"care@example.com"}
            office.assert_nobody_twice()

        assert len(receiver.calls) == 2  # the first was answered with 500
        first, second = receiver.calls
        assert first[0]["X-Holdfast-Delivery"] == second[0]["X-Holdfast-Delivery"]
        assert first[1] == second[1]
        assert receiver.bodies[1]["text"] == TEXT
        for headers, body in receiver.calls:
            signed = f"{headers['X-Holdfast-Timestamp']}.".encode() + body
            assert headers["X-Holdfast-Signature"] == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
