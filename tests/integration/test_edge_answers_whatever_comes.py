"""Nothing is left without an answer: unknown commands, stale buttons, errors, roads that are closed."""

from pathlib import Path

import structlog.testing

from bot.errors import NotFoundError
from bot.slack.blocks import View, actions, button, section
from storage.db import Database
from tests.integration.slack_support import office


async def test_an_unknown_command_is_answered_with_those_that_exist(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        delivery = await house.slack.command(house.maria, house.ops, "/deploy now")

        assert delivery.acked_in is not None
        assert "does not know /deploy. It knows /campaign, /holdfast." in delivery.responses[0].text


async def test_a_button_of_another_version_is_answered(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        old = [actions([button("Escalate", "outage.escalate", "3")])]
        await house.client.chat_postMessage(channel=house.ops.id, text="old", blocks=old)

        delivery = await house.slack.click(house.maria, house.ops.messages[0], "Escalate")
        await house.edge.drain()

        assert delivery.acked_in is not None
        assert "belongs to another version" in house.slack.ephemerals(house.maria)[-1].text


async def test_a_form_that_nobody_knows_says_so_in_the_form(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        await house.slack.command(house.maria, house.ops, "/campaign list")
        await house.edge.drain()
        form = {
            "type": "modal",
            "callback_id": "old",
            "title": {"type": "plain_text", "text": "Old"},
            "submit": {"type": "plain_text", "text": "Send"},
            "blocks": [
                {
                    "type": "input",
                    "block_id": "what",
                    "label": {"type": "plain_text", "text": "What"},
                    "element": {"type": "plain_text_input", "action_id": "text"},
                }
            ],
        }
        await house.client.views_open(trigger_id=house.desk.calls[0].trigger or "", view=form)

        delivery = await house.slack.submit_view(house.maria, values={"what": "x"})

        assert delivery.acked_in is not None
        assert "another version" in house.slack.open_views(house.maria)[0].errors["what"]


async def test_what_people_may_know_of_an_error_is_told_to_them(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        house.desk.error = NotFoundError("No campaign is called <!channel>. There is spring-sale.")

        await house.slack.command(house.maria, house.ops, "/campaign pause <!channel>")
        await house.edge.drain()

        text = house.slack.ephemerals(house.maria)[-1].text
        assert text == "No campaign is called &lt;!channel>. There is spring-sale."


async def test_a_fault_of_ours_is_logged_under_the_id_that_the_person_is_given(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        house.desk.error = ZeroDivisionError("the secret reason")

        with structlog.testing.capture_logs() as logs:
            delivery = await house.slack.command(house.maria, house.ops, "/campaign pause spring-sale")
            await house.edge.drain()

        text = house.slack.ephemerals(house.maria)[-1].text
        broke = next(line for line in logs if line["event"] == "a handler broke")
        assert delivery.acked_in is not None
        assert f"(id {broke['id']})" in text
        assert 'holdfast do "/campaign pause spring-sale"' in text
        assert "secret reason" not in text


async def test_the_answer_takes_the_other_road_when_the_response_url_fails(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        house.slack.fault("response_url", status=500)

        await house.slack.command(house.maria, house.ops, "/campaign list")
        await house.edge.drain()

        assert house.slack.ephemerals(house.maria)[-1].text == "Done."
        assert len(house.slack.calls_to("chat.postEphemeral")) == 1


async def test_an_answer_whose_blocks_slack_refuses_is_told_in_words(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        house.desk.reply = View("The list.", [section("x"), {"type": "no_such_block"}])

        await house.slack.command(house.maria, house.ops, "/campaign list")
        await house.edge.drain()

        assert house.slack.ephemerals(house.maria)[-1].text == "The list."


async def test_a_person_is_somebody_when_slack_does_not_say_who(db: Database, tmp_path: Path) -> None:
    async with office(db, tmp_path) as house:
        house.slack.fault("users.info", status=500)

        await house.slack.command(house.maria, house.ops, "/campaign list")
        await house.edge.drain()

        actor = house.desk.calls[0].actor
        assert (actor.id, actor.name, actor.zone) == (house.maria.id, "maria", "UTC")
