"""What the app answers to a payload: over a response URL, in the body of its ack, or to a submitted view."""

from collections.abc import Mapping
from typing import Any

from bot.demo.fakeslack.handles import ResponseUrl
from bot.demo.fakeslack.limits import view_problems
from bot.demo.fakeslack.web import Call, Content, content
from bot.demo.fakeslack.workspace import Json, Message, SlackRefusesError, View

_KNOWN = {
    "text", "blocks", "attachments", "response_type", "replace_original", "delete_original", "thread_ts",
    "metadata", "unfurl_links", "unfurl_media", "mrkdwn", "markdown_text", "link_names", "parse",
}  # fmt: skip


def respond(call: Call, response: ResponseUrl) -> Message | None:
    """Carry out one answer: a new message, an edit or a deletion of the message with the button."""
    for name in sorted(set(call.args) - _KNOWN):
        call.violate(f"unknown argument {name}")
    if call.flag("delete_original"):
        if response.source is not None:
            call.workspace.delete(response.source)
        return None
    body = content(call)
    if call.flag("replace_original") and response.source is not None:
        call.workspace.edit(response.source, text=body.text, blocks=body.blocks, attachments=body.attachments)
        return response.source
    message = _post(call, response, body)
    response.answers.append(message)
    call.workspace.changed()
    return message


def _post(call: Call, response: ResponseUrl, body: Content) -> Message:
    kind = call.args.get("response_type", "ephemeral")
    if kind not in {"ephemeral", "in_channel"}:
        call.refuse("invalid_arguments", [f"response_type {kind!r} is neither ephemeral nor in_channel"])
    thread = call.text("thread_ts")
    parent = response.channel.find(thread) if thread else None
    if thread and parent is None:
        raise SlackRefusesError("thread_not_found")
    public = kind == "in_channel"
    message = call.workspace.post(
        response.channel,
        call.workspace.bot,
        body.text or "",
        blocks=body.blocks or (),
        attachments=body.attachments or (),
        parent=parent if public else None,
        ephemeral_to=None if public else response.user,
    )
    message.parent = parent
    return message


def after_submission(call: Call, view: View, body: Mapping[str, Any]) -> None:
    """What happens to a view once its submission was acked: https://docs.slack.dev/surfaces/modals/"""
    stack = call.workspace.modals.get(view.user.id, [])
    action = body.get("response_action")
    if not body:
        _close(call, view)
    elif action == "clear":
        stack.clear()
    elif action == "errors":
        view.errors = _errors(call, view, body.get("errors"))
    elif action in {"update", "push"}:
        _show(call, view, stack, str(action), body.get("view"))
    else:
        call.violate(f"unknown response_action {action!r}")
    call.workspace.changed()


def _close(call: Call, view: View) -> None:
    stack = call.workspace.modals.get(view.user.id, [])
    if view in stack:
        stack.remove(view)


def _show(call: Call, view: View, stack: list[View], action: str, data: Any) -> None:
    problems = view_problems(data)
    for problem in problems:
        call.violate(problem)
    if problems:
        return
    if action == "update":
        call.workspace.replace_view(view, data)
    elif len(stack) < 3:
        stack.append(call.workspace.new_view(view.user, data, below=view))
    else:
        call.violate("a third view cannot be pushed")


def _errors(call: Call, view: View, errors: Any) -> dict[str, str]:
    inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
    if not isinstance(errors, Mapping) or not errors:
        call.violate("errors: must name at least one input block")
        return {}
    for name in sorted(set(errors) - inputs):
        call.violate(f"errors: {name!r} is no input block of the view")
    return {str(name): str(text) for name, text in errors.items()}


def ack_args(body: Any) -> Json:
    """The body of an ack as the arguments of an answer; a bare string is a text."""
    if isinstance(body, str):
        return {"text": body} if body else {}
    return dict(body) if isinstance(body, Mapping) else {}
