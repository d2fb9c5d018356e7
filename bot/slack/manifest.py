"""`holdfast manifest`: the Slack app's manifest for the way in which Slack's requests are to come.

manifest.yml is the one of Socket Mode. For HTTP the addresses are put in, line by line, so that its comments stay.
https://docs.slack.dev/reference/app-manifest/
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bot.errors import BadInputError, SettingsError

EVENTS_PATH = "/slack/events"
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "manifest.yml", _PACKAGE.parent / "manifest.yml")
"""In a wheel it lies in the package; in a checkout at the top, where people look for it."""


def manifest(*, http: bool, url: str | None) -> str:
    """The manifest as YAML. `url` is the public address, as https://holdfast.example.com.

    With `url` the app can also be installed by OAuth. Raises BadInputError for an address that Slack would not take,
    SettingsError when the file is not there.
    """
    if url is not None:
        url = _checked(url)
    elif http:
        raise BadInputError(
            "Over HTTP Slack needs an address to send to: holdfast manifest --mode http --url https://YOUR-HOST, or "
            "set HOLDFAST_PUBLIC_URL."
        )
    lines = _read().splitlines()
    if url is not None:
        lines = list(_with_redirect(lines, url))
    if http and url is not None:
        lines = list(_over_http(lines, url))
    return "\n".join(lines) + "\n"


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or re.search(r"\s", url):
        raise BadInputError(f"{url} is no address for Slack: it must be as https://holdfast.example.com")
    return url.rstrip("/")


def _read() -> str:
    for place in _PLACES:
        if place.is_file():
            return place.read_text(encoding="utf-8")
    raise SettingsError(f"manifest.yml is not where it belongs, at {_PLACES[0]}. Install Holdfast again.")


def _with_redirect(lines: list[str], url: str) -> Iterator[str]:
    for line in lines:
        yield line
        if line == "oauth_config:":
            yield "  redirect_urls:"
            yield f"    - {url}{REDIRECT_PATH}"


def _over_http(lines: list[str], url: str) -> Iterator[str]:
    events = f"{url}{EVENTS_PATH}"
    for line in lines:
        yield line.replace("socket_mode_enabled: true", "socket_mode_enabled: false")
        if found := re.match(r" *- (?=command: )", line):
            yield f"{' ' * found.end()}url: {events}"
        elif found := re.match(r" *(?=(?:interactivity|event_subscriptions):)", line):
            yield f"{' ' * found.end()}  request_url: {events}"
