"""The notes of a release, and refused releases."""

import re
import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.project_files import PROJECT
from tools.release import NotReadyError, notes

CHANGELOG = """\
# Changelog

## 1.1.0 (2026-12-02)

- New.

### Upgrading

- Do this.

## 1.0.0 (2026-12-01)

- First.
"""


@pytest.mark.parametrize(
    ("version", "text"), [("1.1.0", "- New.\n\n### Upgrading\n\n- Do this."), ("1.0.0", "- First.")]
)
def test_the_notes_are_the_version_s_section_without_its_heading(version: str, text: str) -> None:
    assert notes(f"v{version}", version, CHANGELOG) == text


@pytest.mark.parametrize(
    ("tag", "version", "changelog"),
    [
        ("v1.1.0", "1.0.0", CHANGELOG),
        ("1.1.0", "1.1.0", CHANGELOG),
        ("v1.1.0-rc1", "1.1.0", CHANGELOG),
        ("v1.1", "1.1", CHANGELOG),
        ("v1.2.0", "1.2.0", CHANGELOG),
        ("v1.0.0", "1.0.0", CHANGELOG + "\n## 1.0.0 (2026-12-01)\n\n- Again.\n"),
        ("v1.1.0", "1.1.0", CHANGELOG.replace("(2026-12-02)", "(not yet released)")),
        ("v1.1.0", "1.1.0", CHANGELOG.replace("## 1.1.0 (2026-12-02)", "## 1.1.0")),
        ("v1.0.0", "1.0.0", CHANGELOG.replace("- First.", "")),
        ("v1.1.0", "1.1.0", ""),
    ],
    ids=[
        *("another version", "no v", "a candidate", "a part of a version", "no section", "two sections"),
        *("not yet released", "no date", "an empty section", "an empty file"),
    ],
)
def test_a_tag_that_is_not_ready_is_not_released(tag: str, version: str, changelog: str) -> None:
    with pytest.raises(NotReadyError):
        notes(tag, version, changelog)


def test_it_reads_this_project_s_version_and_runs_without_packages() -> None:
    version = PROJECT["project"]["version"]
    released = re.search(
        rf"^## {re.escape(version)} \(\d{{4}}-", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    for tag, code in ((f"v{version}", 0 if released else 1), ("v0.0.0", 1)):
        command = [sys.executable, "-S", "-m", "tools.release", tag]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
