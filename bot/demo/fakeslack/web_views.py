"""views.*: modals and the home tab. https://docs.slack.dev/surfaces/modals/"""

from bot.demo.fakeslack.limits import view_problems
from bot.demo.fakeslack.shapes import view_json
from bot.demo.fakeslack.web import Call, method
from bot.demo.fakeslack.workspace import Json, SlackRefusesError, User, View

_DEEPEST = 3  # a root and two pushes


@method("views.open", needs="view", takes="trigger_id interactivity_pointer")
def views_open(call: Call) -> Json:
    data = _data(call, "modal")
    user = _exchange(call)
    view = call.workspace.new_view(user, data)
    call.workspace.modals[user.id] = [view]
    call.workspace.changed()
    return {"view": view_json(view, call.workspace)}


@method("views.push", needs="view", takes="trigger_id interactivity_pointer")
def views_push(call: Call) -> Json:
    data = _data(call, "modal")
    user = _exchange(call)
    stack = call.workspace.modals.get(user.id) or []
    if not stack:
        raise SlackRefusesError("not_found")
    if len(stack) >= _DEEPEST:
        raise SlackRefusesError("push_limit_reached")
    view = call.workspace.new_view(user, data, below=stack[-1])
    stack.append(view)
    call.workspace.changed()
    return {"view": view_json(view, call.workspace)}


@method("views.update", needs="view", takes="view_id external_id hash")
def views_update(call: Call) -> Json:
    view = call.workspace.find_view(call.text("view_id"), call.text("external_id"))
    if view is None:
        raise SlackRefusesError("not_found")
    data = _data(call, str(view.data["type"]))
    _same_hash(call, view)
    call.workspace.replace_view(view, data)
    return {"view": view_json(view, call.workspace)}


@method("views.publish", needs="user_id view", takes="hash")
def views_publish(call: Call) -> Json:
    data = _data(call, "home")
    user = call.user("user_id")
    view = call.workspace.homes.get(user.id)
    if view is None:
        view = call.workspace.homes[user.id] = call.workspace.new_view(user, data)
        call.workspace.changed()
    else:
        _same_hash(call, view)
        call.workspace.replace_view(view, data)
    return {"view": view_json(view, call.workspace)}


def _data(call: Call, kind: str) -> Json:
    view = call.args["view"]
    call.refuse("invalid_arguments", view_problems(view))
    if view["type"] != kind:
        call.refuse("invalid_arguments", [f"view.type: must be {kind} here"])
    return dict(view)


def _exchange(call: Call) -> User:
    trigger = call.text("trigger_id") or call.text("interactivity_pointer")
    if not trigger:
        raise SlackRefusesError("invalid_trigger_id")
    user = call.slack.handles.exchange(trigger)
    if user.id not in call.workspace.users:  # the token of another workspace than the trigger's
        raise SlackRefusesError("invalid_trigger_id")
    return user


def _same_hash(call: Call, view: View) -> None:
    if call.args.get("hash") and call.args["hash"] != view.hash:
        raise SlackRefusesError("hash_conflict")
