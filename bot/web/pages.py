"""The one kind of page that Holdfast shows to customers: a sentence, and at most one button."""

from dataclasses import dataclass

from aiohttp import web
from jinja2 import Environment

_TEMPLATE = Environment(autoescape=True).from_string("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>{{ title }}</title>
<style>
  body { font: 1.125rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1rem; }
  button { font: inherit; padding: .5rem 1.25rem; }
</style>
<h1>{{ title }}</h1>
<p>{{ text }}</p>
{% if button %}<form method="post"><button>{{ button }}</button></form>{% endif %}
</html>
""")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Page:
    title: str
    text: str
    button: str = ""
    """The label of the button that posts to the page's own address; none when empty."""


def page(shown: Page, *, status: int = 200) -> web.Response:
    return web.Response(text=_TEMPLATE.render(vars(shown)), status=status, content_type="text/html", headers=_HEADERS)
