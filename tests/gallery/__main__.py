"""`python -m tests.gallery --update` or `--html FILE`."""

import argparse
from pathlib import Path

from tests.gallery import FOLDER, GROUPS, golden
from tests.gallery.page import page


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.gallery", description="Everything that the bot shows.")
    parser.add_argument("--update", action="store_true", help="write the golden texts anew")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page to look at")
    parser.add_argument("--only", choices=GROUPS, help="only this group on the page")
    chosen = parser.parse_args()
    if chosen.update:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for old in FOLDER.glob("*.txt"):
            old.unlink()
        for group in GROUPS:
            (FOLDER / f"{group}.txt").write_text(golden(group), encoding="utf-8")
    if chosen.html:
        groups = [chosen.only] if chosen.only else list(GROUPS)
        chosen.html.write_text(page({group: GROUPS[group] for group in groups}), encoding="utf-8")
    if not chosen.update and not chosen.html:
        parser.print_help()


if __name__ == "__main__":
    main()
