"""A Git folder of a workspace: a real clone, brought forward by real git commands."""

import asyncio
import base64
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from localcloud import git

# Nothing in a folder happens behind the tests' backs, and clones are thrown away soon.
QUIET = ("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false")


class FolderError(Exception):
    """A Git operation that failed: Databricks' error code, and the files if they conflict."""

    def __init__(self, code: str, files: Sequence[str] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.files = files


type Access = Mapping[str, str]
"""The variables by which a git command reaches a folder's repository."""


def signed_in(username: str, token: str, network: Mapping[str, str]) -> Access:
    """Access with a stored Git credential (off the command line), and by nothing but https: through the proxy."""
    basic = base64.b64encode(f"{username}:{token}".encode()).decode()
    setting = {"GIT_CONFIG_KEY_0": "http.extraHeader", "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}"}
    return {**network, **setting, "GIT_CONFIG_COUNT": "1", "GIT_ALLOW_PROTOCOL": "https"}


@dataclass(slots=True)
class Folder:
    """One Git folder.

    Attributes:
        path: without `/Workspace` in front.
        git_cli: it was created with Git-CLI access, so the workspace shows it as a directory.
        can_manage: off, whoever was not granted more reads it only, and her lists leave it out.
        visible: off, nobody sees it who was not granted that.
    """

    id: int
    path: str
    url: str
    directory: Path
    sparse: tuple[str, ...] = ()
    git_cli: bool = False
    can_manage: bool = True
    visible: bool = True
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @property
    def head(self) -> str:
        """The id of the commit that is checked out."""
        content = self._git_file("HEAD")
        return self._git_file(content.removeprefix("ref: ")) if content.startswith("ref: ") else content

    @property
    def branch(self) -> str | None:
        """The branch it is on; None on a detached head."""
        content = self._git_file("HEAD")
        return content.removeprefix("ref: refs/heads/") if content.startswith("ref: ") else None

    @property
    def dirty(self) -> bool:
        """Whether there are uncommitted changes."""
        return bool(git.run(self.directory, "status", "--porcelain"))

    def edit(self, file: str, text: str) -> None:
        """Write a file and do not commit it."""
        target = self.directory / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, file: str) -> str:
        return (self.directory / file).read_text()

    async def clone(self, access: Access) -> None:
        """Clone the remote's default branch. Raises FolderError and leaves nothing behind."""
        options = ["--sparse"] if self.sparse else []
        parent = self.directory.parent
        parent.mkdir(parents=True, exist_ok=True)
        source = [self.url, self.directory.name]
        command = [*QUIET, "clone", "--quiet", "--template=", *options, *source]
        done = await git.start(parent, *command, environment=access)
        if not done.code and self.sparse:
            done = await git.start(self.directory, "sparse-checkout", "set", "--cone", *self.sparse)
        if done.code:
            shutil.rmtree(self.directory, ignore_errors=True)
            _fail(done.stderr)

    async def switch(self, access: Access, *, branch: str, discard: bool) -> None:
        """Switch to a branch and bring it to its latest commit.

        Raises FolderError, with nothing lost, if local changes are in the way and not to be discarded.
        """
        there = f"refs/remotes/origin/{branch}"
        await self._fetch(access, f"+refs/heads/{branch}:{there}")
        if discard:
            await self._git("checkout", "--quiet", "--force", "-B", branch, there)
            await self._git("clean", "--quiet", "--force", "-d")
            return
        if self.branch != branch:
            known = (self.directory / ".git/refs/heads" / branch).is_file()
            target = [branch] if known else ["--no-track", "-b", branch, there]
            await self._git("checkout", "--quiet", *target)
        await self._git("merge", "--quiet", "--ff-only", there)

    async def detach(self, access: Access, *, tag: str, discard: bool) -> None:
        """Check out a tag."""
        await self._fetch(access, f"+refs/tags/{tag}:refs/tags/{tag}")
        force = ["--force"] if discard else []
        await self._git("checkout", "--quiet", "--detach", *force, f"refs/tags/{tag}")
        if discard:
            await self._git("clean", "--quiet", "--force", "-d")

    async def go_to(self, commit: str) -> None:
        """Check out a commit that was cloned."""
        await self._git("checkout", "--quiet", "--detach", commit)

    async def _fetch(self, access: Access, refspec: str) -> None:
        await self._git("fetch", "--quiet", "--no-tags", self.url, refspec, environment=access)

    async def _git(self, *arguments: str, environment: Access | None = None) -> None:
        done = await git.start(self.directory, *QUIET, *arguments, environment=environment)
        if done.code:
            _fail(done.stderr)

    def _git_file(self, name: str) -> str:
        return (self.directory / ".git" / name).read_text().strip()


def _fail(stderr: str) -> NoReturn:
    """Raise what git's words mean (`LC_ALL=C`, so that they are English)."""
    if "would be overwritten" in stderr or "Not possible to fast-forward" in stderr:
        raise FolderError("GIT_CONFLICT", re.findall(r"^\t(.+)$", stderr, re.MULTILINE))
    if "find remote ref" in stderr:
        raise FolderError("GIT_UNKNOWN_REF")
    if "Authentication failed" in stderr or "could not read Username" in stderr:
        raise FolderError("PERMISSION_DENIED")
    if re.search(r"repository '.*' not found", stderr):
        raise FolderError("BAD_REQUEST")
    raise FolderError("GIT_REMOTE_ERROR")
