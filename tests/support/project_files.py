"""The project's own files: pins, and the deployed files."""

import re
import subprocess
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def entries(file: str) -> dict[str, list[str]]:
    """Return each requirement of a file with its hashes."""
    lines = (ROOT / file).read_text().replace("\\\n", " ").splitlines()
    parts = [line.split(" --hash=") for line in lines]
    return {requirement.strip(): [each.strip() for each in hashes] for requirement, *hashes in parts}


def pins(file: str) -> dict[str, str]:
    """Return pinned versions for this system and Python version."""
    found: dict[str, str] = {}
    for line in entries(file):
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{line} is not pinned"
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = pin.version
    return found


def ignored(path: str, *, boundary: bool) -> bool:
    """Return whether `func` omits a path; `boundary`: patterns match up to a word's end."""
    lines = [
        line for line in (ROOT / ".funcignore").read_text().split("\n") if line and not line.startswith("#")
    ]
    parts = [re.escape(line).replace(r"\*\*", "(.+)").replace(r"\*", r"([^\/]+)") for line in lines]
    return re.match(rf"({'|'.join(parts)})" + (r"(\b|$)" if boundary else ""), path) is not None


def tracked() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    found: dict[str, str] = {}
    for name in filter(None, listed.stdout.split("\0")):
        try:
            found[name] = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return found
