"""`python -m tests.gallery --update`, `--html FILE` or `--screenshots FOLDER`."""

import argparse
import asyncio
from pathlib import Path

from tests.gallery import FOLDER, GROUPS, golden
from tests.gallery.page import page
from tests.gallery.screenshots import picture, shoot


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.gallery", description="Everything that the bot shows.")
    parser.add_argument("--update", action="store_true", help="write the golden texts anew")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page to look at")
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="take pictures, for desktop and phone")
    parser.add_argument("--workspace", nargs=2, metavar=("ADDRESS", "FILE"), help="a picture of a demo's page")
    parser.add_argument("--only", choices=GROUPS, help="only this group on the page or the pictures")
    chosen = parser.parse_args()
    if chosen.update:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for old in FOLDER.glob("*.txt"):
            old.unlink()
        for group in GROUPS:
            (FOLDER / f"{group}.txt").write_text(golden(group), encoding="utf-8")
    groups = {chosen.only: GROUPS[chosen.only]} if chosen.only else GROUPS
    if chosen.html:
        chosen.html.write_text(page(groups), encoding="utf-8")
    if chosen.screenshots:
        for made in asyncio.run(shoot(chosen.screenshots, groups)):
            print(made)
    if chosen.workspace:
        address, file = chosen.workspace
        asyncio.run(picture(address, Path(file)))
    if not (chosen.update or chosen.html or chosen.screenshots or chosen.workspace):
        parser.print_help()


if __name__ == "__main__":
    main()
