"""A release's notes: `python -m tools.release TAG` prints a version's section of CHANGELOG.md.

Uses the standard library only. .github/workflows/release.yml runs it before anything is built.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


class NotReadyError(Exception):
    """The tag cannot be released; the message has the reason."""


def notes(tag: str, version: str, changelog: str) -> str:
    """Return a version's section of the changelog, without its heading.

    Raises:
        NotReadyError: the tag has another version, or the section is missing, empty or undated.
    """
    if tag != f"v{version}":
        raise NotReadyError(
            f"The tag is {tag}, and pyproject.toml has version {version}: tag v{version}, or set the version first."
        )
    sections = re.split(r"^## (.*)$", changelog, flags=re.MULTILINE)
    found = [
        (heading, text.strip())
        for heading, text in zip(sections[1::2], sections[2::2], strict=True)
        if heading.split()[:1] == [version]
    ]
    if len(found) != 1:
        raise NotReadyError(
            f"CHANGELOG.md has {len(found)} sections for {version}: write one, ## {version} (YYYY-MM-DD)."
        )
    ((heading, text),) = found
    if not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d{{2}}-\d{{2}}\)", heading):
        raise NotReadyError(
            f'CHANGELOG.md says "{heading}": write ## {version} (YYYY-MM-DD), with the day of the release.'
        )
    if not text:
        raise NotReadyError(f"CHANGELOG.md says nothing of {version}: write what users notice.")
    return text


def main() -> None:
    if len(sys.argv) != 2:  # noqa: PLR2004  # the program and the tag
        sys.exit("usage: python -m tools.release TAG")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    try:
        print(notes(sys.argv[1], version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))  # noqa: T201
    except NotReadyError as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    main()
