"""`holdfast manifest` prints what Slack takes, for Socket Mode and for HTTP, from a checkout and from a wheel."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bot.errors import BadInputError
from bot.slack.manifest import manifest
from tests.unit.test_manifest import DATA, ROOT, read

URL = "https://holdfast.example.com"
EVENTS = f"{URL}/slack/events"


def made(*, http: bool, url: str | None) -> dict[str, Any]:
    """The manifest as Slack reads it; it keeps to Slack's schema."""
    found: dict[str, Any] = read(manifest(http=http, url=url))
    jsonschema.validate(found, json.loads((DATA / "manifest.schema.1.0.0.json").read_text()))
    return found


def addresses(found: Any) -> list[str]:
    """Every address in the manifest."""
    if isinstance(found, dict):
        return [each for value in found.values() for each in addresses(value)]
    if isinstance(found, list):
        return [each for value in found for each in addresses(value)]
    return [found] if isinstance(found, str) and found.startswith("https://") else []


def test_for_socket_mode_it_is_the_file() -> None:
    assert manifest(http=False, url=None) == (ROOT / "manifest.yml").read_text()
    assert addresses(made(http=False, url=None)) == []


def test_over_http_every_request_has_an_address() -> None:
    found = made(http=True, url=URL)

    assert not found["settings"]["socket_mode_enabled"]
    assert found["settings"]["interactivity"] == {"request_url": EVENTS, "is_enabled": True}
    assert {each["url"] for each in found["features"]["slash_commands"]} == {EVENTS}
    if "event_subscriptions" in found["settings"]:
        assert found["settings"]["event_subscriptions"]["request_url"] == EVENTS
    assert found["oauth_config"]["redirect_urls"] == [f"{URL}/slack/oauth_redirect"]


def test_events_have_their_address_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "manifest.yml"
    text = (ROOT / "manifest.yml").read_text()
    if "event_subscriptions" not in text:
        text = text.replace("settings:\n", "settings:\n  event_subscriptions:\n    bot_events:\n      - pin_added\n")
    file.write_text(text)
    monkeypatch.setattr("bot.slack.manifest._PLACES", (file,))

    found = made(http=True, url=URL)

    assert found["settings"]["event_subscriptions"]["request_url"] == EVENTS


def test_apart_from_the_addresses_both_are_the_same() -> None:
    socket, http = made(http=False, url=None), made(http=True, url=URL)
    for entry in http["features"]["slash_commands"]:
        del entry["url"]
    del http["oauth_config"]["redirect_urls"]
    del http["settings"]["interactivity"]["request_url"]
    http["settings"].get("event_subscriptions", {}).pop("request_url", None)
    http["settings"]["socket_mode_enabled"] = True

    assert http == socket


def test_in_socket_mode_an_address_is_for_the_installation_alone() -> None:
    found = made(http=False, url=URL + "/")

    assert addresses(found) == [f"{URL}/slack/oauth_redirect"]
    assert found["settings"]["socket_mode_enabled"]


def test_http_without_an_address_is_refused_with_the_way_to_give_one() -> None:
    with pytest.raises(BadInputError, match="--url https://YOUR-HOST"):
        manifest(http=True, url=None)


@pytest.mark.parametrize(
    "url", ["http://holdfast.example.com", "holdfast.example.com", "https://", "https://a b", f"{URL}?x=1"]
)
def test_an_address_that_slack_would_not_take_is_refused(url: str) -> None:
    with pytest.raises(BadInputError, match="is no address for Slack"):
        manifest(http=True, url=url)


def test_it_is_in_the_wheel(tmp_path: Path) -> None:
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    with zipfile.ZipFile(tmp_path / made.stdout.split()[-1]) as wheel:
        assert wheel.read("bot/manifest.yml").decode() == (ROOT / "manifest.yml").read_text()
