"""Add a server: `/server add` without its host."""

from typing import cast

from bot.errors import BadInputError
from bot.services.bundle import Services
from bot.services.servers import Tls
from bot.slack.blocks import View
from bot.slack.forms import Ask, Filled, Form, Sheet
from bot.slack.views import forms as views
from bot.slack.views.replies import said
from commands.forms import found_wrong
from commands.words import address, split

TYPED = "/server add NAME HOST[:PORT]"
_AS = "Only the host stands here, as mail.example.com; the port has its own field."


async def open_form(services: Services, ask: Ask) -> Sheet | None:
    """For what lacks a host, and for those who may add servers."""
    name, host = split(ask.words)
    if name and host:
        return None
    services.access.require(ask.actor, "server.add")
    return Sheet(views.server(name), TYPED)


async def _check(services: Services, filled: Filled) -> dict[str, str]:
    services.access.require(filled.actor, "server.add")
    filled.text("security")
    found = {
        "name": await found_wrong(services.servers.check_name(filled.text("name"))),
        "host": _wrong_host(filled.text("host")),
        "port": _wrong_port(filled.text("port")),
    }
    return {name: sentence for name, sentence in found.items() if sentence}


def _wrong_host(text: str) -> str | None:
    try:
        _, port = address(_bracketed(text), _AS)
    except BadInputError as error:
        return str(error)
    return _AS if port is not None else None


def _wrong_port(text: str) -> str | None:
    is_port = text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535
    return None if is_port else "A port is a number from 1 to 65535; for mail mostly 25, 465 or 587."


def _bracketed(host: str) -> str:
    """In a field of its own an IPv6 address needs no brackets."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


async def _submit(services: Services, filled: Filled) -> View:
    host, _ = address(_bracketed(filled.text("host")), _AS)
    result = await services.servers.add(
        filled.actor, filled.text("name"), host, int(filled.text("port")), cast("Tls", filled.text("security"))
    )
    return said(result.text)


FORM = Form(_check, _submit)
