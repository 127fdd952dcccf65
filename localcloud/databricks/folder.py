"""A Git folder of a workspace: a real clone, updated by real git commands."""

import asyncio
import base64
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from localcloud import git
from localcloud.databricks import contents

# Background maintenance would race with tests, and clones are short-lived.
QUIET = ("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false")


NAMES_CLASH = (
    "Cannot perform Git operation due to conflicting names. A folder cannot contain a notebook with the same name as a notebook, file, "
    "or folder (excluding file extensions)."
)

type Diverged = Literal["refused", "merged", "kept"]
"""The handling, in a pull, of a branch that has diverged from its remote."""


class FolderError(Exception):
    """A failed Git operation: Databricks' error code, its own text if any, and conflicting files."""

    def __init__(self, code: str, message: str = "", files: Sequence[str] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.files = files


type Access = Mapping[str, str]
"""The environment variables by which a git command reaches a folder's repository."""


def signed_in(username: str, token: str, network: Mapping[str, str]) -> Access:
    """Return access with a stored Git credential, over HTTPS through the proxy only.

    The token stays off the command line, where other processes could read it.
    """
    basic = base64.b64encode(f"{username}:{token}".encode()).decode()
    setting = {"GIT_CONFIG_KEY_0": "http.extraHeader", "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}"}
    return {**network, **setting, "GIT_CONFIG_COUNT": "1", "GIT_ALLOW_PROTOCOL": "https"}


@dataclass(slots=True)
class Folder:
    """One Git folder.

    `path`: without the prefix `/Workspace`.
    `git_cli`: created with Git CLI access, so the workspace shows a directory.
    `can_manage`: if False, callers without a grant can only read it, and their lists omit it.
    `visible`: if False, callers without a grant cannot see it.
    `broken`: left behind by a failed create, without a repository.
    `former_head`: the commit that the next read shows; None: the one checked out.
    """

    id: int
    path: str
    url: str
    directory: Path
    sparse: tuple[str, ...] = ()
    git_cli: bool = False
    can_manage: bool = True
    visible: bool = True
    broken: bool = False
    former_head: str | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @property
    def head(self) -> str:
        """The ID of the checked-out commit, or "" in a repository without commits."""
        content = self._git_file("HEAD")
        return self._git_file(content.removeprefix("ref: ")) if content.startswith("ref: ") else content

    @property
    def branch(self) -> str | None:
        """The current branch, or None for a detached HEAD."""
        content = self._git_file("HEAD")
        return content.removeprefix("ref: refs/heads/") if content.startswith("ref: ") else None

    @property
    def dirty(self) -> bool:
        return bool(git.run(self.directory, "status", "--porcelain"))

    def edit(self, file: str, text: str) -> None:
        """Write a file without committing it."""
        target = self.directory / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def commit(self, file: str, text: str) -> str:
        """Commit a file without pushing, as a user with Git CLI access can, and return the commit's ID."""
        self.edit(file, text)
        git.run(self.directory, "add", "--", file)
        git.run(self.directory, "commit", "--quiet", "--message", "Not pushed")
        return self.head

    def read(self, file: str) -> str:
        return (self.directory / file).read_text()

    async def clone(self, access: Access) -> None:
        """Clone the remote's default branch. On FolderError no clone is left behind."""
        options = ["--sparse"] if self.sparse else []
        parent = self.directory.parent
        parent.mkdir(parents=True, exist_ok=True)
        source = [self.url, self.directory.name]
        command = [*QUIET, "clone", "--quiet", "--template=", *options, *source]
        try:
            self._check(await git.start(parent, *command, environment=access))
            if self.head:
                await self._check_names("HEAD")
            if self.sparse:
                await self._git("sparse-checkout", "set", "--cone", *self.sparse)
        except FolderError:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    async def switch(
        self, access: Access, *, branch: str, discard: bool, diverged: Diverged = "refused"
    ) -> None:
        """Check out a branch and pull, as far as local commits allow.

        Raises FolderError, with nothing lost, if uncommitted changes conflict and `discard` is off. Local
        commits are never lost.
        """
        there = f"refs/remotes/origin/{branch}"
        await self._fetch(access, f"+refs/heads/{branch}:{there}")
        await self._check_names(there)
        if discard:
            await self._discard()
        if self.branch != branch:
            known = (self.directory / ".git/refs/heads" / branch).is_file()
            target = [branch] if known else ["--no-track", "-b", branch, there]
            await self._git("checkout", "--quiet", *target)
        done = await git.start(self.directory, *QUIET, "merge", "--quiet", "--ff-only", there)
        if done.code and diverged != "refused" and _DIVERGED.search(done.stderr):
            await self._merge(there) if diverged == "merged" else None
        else:
            self._check(done)

    async def detach(self, access: Access, *, tag: str, discard: bool) -> None:
        there = f"refs/tags/{tag}"
        await self._fetch(access, f"+{there}:{there}")
        await self._check_names(there)
        if discard:
            await self._discard()
        await self._git("checkout", "--quiet", "--detach", there)

    async def go_to(self, commit: str) -> None:
        await self._git("checkout", "--quiet", "--detach", commit)

    async def _fetch(self, access: Access, refspec: str) -> None:
        await self._git("fetch", "--quiet", "--no-tags", self.url, refspec, environment=access)

    async def _discard(self) -> None:
        """Delete staged, unstaged and untracked changes."""
        await self._git("reset", "--quiet", "--hard")
        await self._git("clean", "--quiet", "--force", "-d")

    async def _merge(self, there: str) -> None:
        """Merge diverged commits. Raises FolderError, with nothing changed, on a conflict."""
        done = await git.start(self.directory, *QUIET, "merge", "--quiet", "--no-edit", there)
        if done.code:
            files = re.findall(r"Merge conflict in (.+)", done.stdout.decode(errors="replace"))
            if files:
                await self._git("merge", "--abort")
            raise FolderError("GIT_CONFLICT", files=files)

    async def _check_names(self, tree: str) -> None:
        """Raise FolderError if names of a commit's notebooks clash."""
        done = await git.start(self.directory, "ls-tree", "-r", "-z", "--name-only", tree)
        if contents.clashes(done.stdout.decode(errors="replace").split("\0")):
            raise FolderError("BAD_REQUEST", NAMES_CLASH)  # unrecorded: the code

    async def _git(self, *arguments: str, environment: Access | None = None) -> None:
        self._check(await git.start(self.directory, *QUIET, *arguments, environment=environment))

    def _check(self, done: git.Finished) -> None:
        """Raise the error that git's English messages (`LC_ALL=C`) stand for."""
        if not done.code:
            return
        said = done.stderr
        if "would be overwritten" in said or _DIVERGED.search(said):
            raise FolderError("GIT_CONFLICT", files=re.findall(r"^\t(.+)$", said, re.MULTILINE))
        if "find remote ref" in said:
            raise FolderError("GIT_UNKNOWN_REF")
        if re.search(r"Authentication failed|could not read Username|returned error: 40[13]", said):
            raise FolderError("PERMISSION_DENIED")
        if re.search(r"repository '.*' not found", said):
            raise FolderError("BAD_REQUEST")
        if re.search(r"SSL|certificate", said):  # unrecorded: the code
            text = f"{self.url}: Secure connection to {self.url} could not be established because of SSL problems"
            raise FolderError("GIT_REMOTE_ERROR", text)
        if _UNREACHED.search(said):
            raise FolderError("GIT_REMOTE_ERROR")
        # unrecorded: the code and the rest of the text
        raise FolderError("INTERNAL_ERROR", f"There was an error performing the operation: {said.strip()}")

    def _git_file(self, name: str) -> str:
        """Return a file of the clone, or "" if missing, as a branch's is before its first commit."""
        file = self.directory / ".git" / name
        return file.read_text().strip() if file.is_file() else ""


_UNREACHED = re.compile(
    r"unable to access|Could not resolve|Failed to connect|Connection|hung up|early EOF|RPC failed|returned error: 5"
)
_DIVERGED = re.compile("Not possible to fast-forward|unrelated histories")
