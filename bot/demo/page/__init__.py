"""The workspace page: the demo's Slack and its relays in a browser, with real buttons.

Served on loopback only, below a path that holds a random token; no build step, nothing from elsewhere.
"""

from bot.demo.page.server import STATIC, Page

__all__ = ["STATIC", "Page"]
