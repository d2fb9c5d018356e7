"""The gallery: everything that the bot shows, in every state, drawn from plain data.

`python -m tests.gallery --html FILE` makes a page of it for people who look, and `--update` writes the golden texts
that tests/unit/test_gallery.py compares with. A new message, modal or home tab takes a scene in the module of its
noun, and a new noun a line in GROUPS.
"""

from collections.abc import Mapping
from pathlib import Path

from tests.gallery import (
    answers,
    asking,
    campaigns,
    catchup,
    checks,
    deciding,
    forms,
    home,
    maintenance,
    notices,
    outages,
    ramps,
    resends,
    roles,
    second_person,
    servers,
)
from tests.gallery.scene import Scenes, problems, text_of

GROUPS: Mapping[str, Scenes] = {
    "outages": outages.SCENES,
    "campaigns": {**campaigns.SCENES, **asking.SCENES},
    "servers": servers.SCENES,
    "resends": resends.SCENES,
    "ramps": ramps.SCENES,
    "notices": notices.SCENES,
    "maintenance": maintenance.SCENES,
    "home": home.SCENES,
    "roles": roles.SCENES,
    "second_person": second_person.SCENES,
    "catchup": catchup.SCENES,
    "deciding": deciding.SCENES,
    "checks": checks.SCENES,
    "forms": forms.SCENES,
    "answers": answers.SCENES,
    "asking": asking.SCENES,
}
FOLDER = Path(__file__).parents[1] / "data" / "gallery"

__all__ = ["FOLDER", "GROUPS", "golden", "problems", "text_of"]


def golden(group: str) -> str:
    """All scenes of a group, as its golden text has them."""
    return "\n".join(f"=== {name}\n{text_of(draw())}\n" for name, draw in GROUPS[group].items())
