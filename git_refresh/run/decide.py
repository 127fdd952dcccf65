"""What to do with a credential and with a folder, and why. Pure: values in, a decision out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from git_refresh.model.hosts import TrustedHosts
from git_refresh.model.repository import Remote, RemoteKind, Repository, read_remote
from git_refresh.model.values import (
    CREDENTIAL_NAME,
    FEDERATED_PROVIDER,
    PROVIDER,
    GitFolder,
    OtherObject,
    Ref,
    ResolvedRef,
    StoredCredential,
)
from git_refresh.output.redact import redact
from git_refresh.output.text import closest
from git_refresh.settings.models import Folder

type Source = tuple[Repository, Ref | None]
"""A repository, and the ref in it that a folder is brought to; None: whichever it is on."""


@dataclass(frozen=True, slots=True)
class FolderState:
    """What the settings want at a path, and what is there."""

    wanted: Folder
    found: GitFolder | OtherObject | None
    remote: Remote
    """Where the remote address of `found` leads."""
    ref: Ref | None
    """What the folder should be on: as the settings say, else the branch it is on; None on a detached HEAD."""
    hidden: bool = False
    """Whether the workspace leaves it out of the list of Git folders that the app can manage."""

    @classmethod
    def at(cls, wanted: Folder, found: GitFolder | OtherObject | None, trusted: TrustedHosts) -> Self:
        if not isinstance(found, GitFolder):
            return cls(wanted, found, Remote(RemoteKind.NONE), wanted.ref)
        own = Ref("branch", found.branch) if found.branch is not None else None
        return cls(wanted, found, read_remote(found.url, trusted), wanted.ref or own)

    @property
    def folder(self) -> GitFolder | None:
        return self.found if isinstance(self.found, GitFolder) else None

    @property
    def repository(self) -> Repository | None:
        """The repository that the settings name, else the one that `found` is a clone of; None if that is not in Azure DevOps."""
        return self.wanted.repository or self.remote.repository

    @property
    def source(self) -> Source | None:
        """What to look up in Azure DevOps; None: nothing, as for a detached HEAD where the settings want nothing else."""
        is_needed = self.ref is not None or self.folder is None
        return (self.repository, self.ref) if self.repository is not None and is_needed else None


@dataclass(frozen=True, slots=True)
class Clone:
    """Create the folder, then bring it to `ref` if there is one."""

    repository: Repository
    ref: Ref | None
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Move:
    """Bring the folder to the latest commit of `ref`."""

    ref: Ref
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class LeaveAlone:
    """The folder is where it should be, or can only be: no request is made.

    `note` is a code in the table of failures: what an admin should know of the folder, though it has not failed.
    """

    ref: Ref | None
    why: str = field(default="", compare=False)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nothing can be done; `code` is in the table of failures, whose message takes the values."""

    code: str
    values: Mapping[str, str] = field(default_factory=dict)


def own_credential(stored: Sequence[StoredCredential], username: str) -> StoredCredential | None:
    """The stored credential that a fresh token goes into; None: one has to be created.

    A service principal has at most one for each provider. Where there are more (a user's sign-in), the one that this app has made comes
    first, then one with our user name, then the default one, then the oldest.
    """

    def rank(found: StoredCredential) -> tuple[object, ...]:
        return (
            found.name != CREDENTIAL_NAME,
            not is_ours(found, username),
            found.username != username,
            not found.is_default,
            found.id,
        )

    fitting = [found for found in stored if found.provider.casefold() == PROVIDER.casefold()]
    return min(fitting, key=rank, default=None)


def is_ours(found: StoredCredential, username: str) -> bool:
    """Whether this app has made a credential: by its name, and where it has none, as earlier versions made them, by its user name."""
    return found.name == CREDENTIAL_NAME or (not found.name and found.username == username)


def describe_owner(found: StoredCredential, username: str) -> str:
    """How a credential that is not ours differs from ours."""
    if found.name:
        return f'its name is "{redact(found.name)}", not "{CREDENTIAL_NAME}"'
    return f'its user name is "{redact(found.username)}", not "{username}"'


def federated_credential(stored: Sequence[StoredCredential]) -> StoredCredential | None:
    """The credential with which the workspace fetches its own tokens for Azure DevOps, if it has one."""
    federated = FEDERATED_PROVIDER.casefold()
    return next((found for found in stored if found.provider.casefold() == federated), None)


def other_credentials(
    stored: Sequence[StoredCredential], own: StoredCredential | None
) -> list[StoredCredential]:
    """Further credentials for Azure DevOps beside the one that is kept fresh."""
    provider = PROVIDER.casefold()
    return [found for found in stored if found.provider.casefold() == provider and found != own]


def folder_step(
    state: FolderState, head: ResolvedRef | None, *, below: bool = False
) -> Clone | Move | LeaveAlone | Refuse:
    """What to do with a folder.

    Args:
        state: what the settings want at its path, and what is there.
        head: where the wanted ref is in Azure DevOps; None when it could not be asked.
        below: whether there are Git folders below its path.
    """
    wanted, found, ref, repository = state.wanted, state.found, state.ref, state.remote.repository
    if isinstance(found, OtherObject):
        return _no_git_folder(found, below=below)
    ref_not_found = head is not None and head.commit is None and ref is not None
    if found is None:
        empty = head is not None and head.empty
        return (
            Refuse("repository_empty")
            if empty
            else _make(wanted.repository, wanted.ref, ref_not_found=ref_not_found)
        )
    if ref_not_found:
        return Refuse("ref_not_found") if wanted.ref else Refuse("branch_gone")
    if repository is None:
        return not_azure_devops(state.remote)
    if wanted.repository is not None and wanted.repository != repository:
        return Refuse("wrong_repository", {"found": str(repository), "wanted": str(wanted.repository)})
    if ref is None:
        # Usually `tag` was removed from the entry. Where the folder should be instead is not known.
        why = "it is on no branch, and the settings name neither branch nor tag"
        return LeaveAlone(ref, why, note="folder_detached")
    if head is not None and is_at(found, ref, head):
        return LeaveAlone(ref, f"it is at the latest commit of {ref}")
    return Move(ref, _why_move(found, ref, head))


def _no_git_folder(found: OtherObject, *, below: bool) -> Refuse:
    """Why nothing is done where something else is."""
    if found.broken:
        return Refuse("broken_git_folder")
    if found.inside:
        return Refuse("inside_git_folder", {"folder": found.inside})
    if below:
        return Refuse("directory_of_git_folders")
    return Refuse("not_a_git_folder", {"type": found.type or "thing"})


def looks_like_commit(ref: Ref) -> bool:
    """Whether the name of a ref is probably the ID of a commit, or the beginning of one."""
    name = ref.name.lower()
    return bool(re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}|(?=.*[0-9])(?=.*[a-f])[0-9a-f]{7,39}", name))


def not_azure_devops(remote: Remote) -> Refuse:
    """Why a Git folder whose remote address leads to no repository that is served is left as it is.

    Without a remote repository, too, its contents are a person's own work, whatever the settings want to be there.
    """
    match remote.kind:
        case RemoteKind.NONE:
            return Refuse("no_remote_repository")
        case RemoteKind.SERVER:
            return Refuse("devops_server")
        case RemoteKind.NO_HTTPS:
            return Refuse("remote_not_https", {"https": remote.https})
        case _:
            return Refuse("not_azure_devops")


def _make(source: Repository | None, ref: Ref | None, *, ref_not_found: bool) -> Clone | Refuse:
    """What to do where there is nothing."""
    if source is None:
        return Refuse("folder_not_found")
    return Refuse("ref_not_found") if ref_not_found else Clone(source, ref, "there is nothing at this path")


def _why_move(found: GitFolder, ref: Ref, head: ResolvedRef | None) -> str:
    if found.branch != ref.branch:
        return f"it is on {f'branch {found.branch}' if found.branch else 'no branch'}, and the settings want {ref}"
    if head is None:
        return f"Azure DevOps could not tell where {ref} is"
    return f"{ref} has moved"


def nearest(ref: Ref, names: Sequence[str]) -> str | None:
    """Which of the branches or tags there are was probably meant by one that does not exist."""
    wanted = ref.name.casefold()
    last = wanted.rpartition("/")[2]  # main of origin/main, x of feature/x
    alike = (
        lambda name: name == wanted,
        lambda name: name == last,
        lambda name: name.rpartition("/")[2] == last,
        lambda name: {name, wanted} == {"main", "master"},
    )
    for is_alike in alike:
        if (found := next((name for name in names if is_alike(name.casefold())), None)) is not None:
            return found
    return next(iter(closest(ref.name, names)), None)


def is_at(found: GitFolder, ref: Ref, head: ResolvedRef) -> bool:
    """Whether a folder is on a ref, at its latest commit. On a tag the head is detached: no branch."""
    return found.commit == head.commit and found.branch == ref.branch
