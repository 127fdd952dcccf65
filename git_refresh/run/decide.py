"""Pure functions that decide what to do with a credential or a Git folder, and why."""

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
"""A repository, and the ref that a folder should be on. None means any ref."""


@dataclass(frozen=True, slots=True)
class FolderState:
    """The configured and the actual state of one path."""

    wanted: Folder
    found: GitFolder | OtherObject | None
    remote: Remote
    """Parsed remote URL of `found`."""
    ref: Ref | None
    """Ref that the folder should be on: configured, otherwise the current branch; None on a detached HEAD."""
    hidden: bool = False
    """True if the workspace does not list it among the Git folders that the app can manage."""

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
        """Configured repository, otherwise that of the existing clone; None outside of Azure DevOps."""
        return self.wanted.repository or self.remote.repository

    @property
    def source(self) -> Source | None:
        """Repository and ref to look up in Azure DevOps.

        None outside of Azure DevOps, or if an existing folder has a detached HEAD and no configured ref.
        """
        is_needed = self.ref is not None or self.folder is None
        return (self.repository, self.ref) if self.repository is not None and is_needed else None


@dataclass(frozen=True, slots=True)
class Clone:
    """Decision to create the folder, and to check out `ref` if set."""

    repository: Repository
    ref: Ref | None
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Move:
    """Decision to update the folder to the latest commit of `ref`."""

    ref: Ref
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class LeaveAlone:
    """Decision not to change the folder, because it is up to date or cannot be updated.

    `note` is the code of a warning in the table of failures.
    """

    ref: Ref | None
    why: str = field(default="", compare=False)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Decision to fail the folder, with a code of the table of failures and values for its message."""

    code: str
    values: Mapping[str, str] = field(default_factory=dict)


def own_credential(stored: Sequence[StoredCredential], username: str) -> StoredCredential | None:
    """Return the stored credential to update, or None to create one.

    A service principal has at most one for each provider, a user can have several.
    Order: created by this app, configured user name, default, oldest.
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
    """Return whether this app created a credential: by its name, or without a name by its user name."""
    return found.name == CREDENTIAL_NAME or (not found.name and found.username == username)


def describe_owner(found: StoredCredential, username: str) -> str:
    """Return how another owner's credential differs from the app's own."""
    if found.name:
        return f'its name is "{redact(found.name)}", not "{CREDENTIAL_NAME}"'
    return f'its user name is "{redact(found.username)}", not "{username}"'


def federated_credential(stored: Sequence[StoredCredential]) -> StoredCredential | None:
    """Return the credential for which the workspace itself fetches Azure DevOps tokens, or None."""
    federated = FEDERATED_PROVIDER.casefold()
    return next((found for found in stored if found.provider.casefold() == federated), None)


def other_credentials(
    stored: Sequence[StoredCredential], own: StoredCredential | None
) -> list[StoredCredential]:
    """Return the credentials for Azure DevOps except the app's own."""
    provider = PROVIDER.casefold()
    return [found for found in stored if found.provider.casefold() == provider and found != own]


def folder_step(
    state: FolderState, head: ResolvedRef | None, *, below: bool = False
) -> Clone | Move | LeaveAlone | Refuse:
    """Return the decision for a folder.

    `head` is the latest commit of its ref; None if unknown. `below` is True if Git folders exist below its path.
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
            else _clone_or_refuse(wanted.repository, wanted.ref, ref_not_found=ref_not_found)
        )
    if ref_not_found:
        return Refuse("ref_not_found") if wanted.ref else Refuse("branch_gone")
    if repository is None:
        return not_azure_devops(state.remote)
    if wanted.repository is not None and wanted.repository != repository:
        return Refuse("wrong_repository", {"found": str(repository), "wanted": str(wanted.repository)})
    if ref is None:
        # Usually a tag was removed from the entry. The intended ref is unknown.
        why = "its entry names neither branch nor tag"
        return LeaveAlone(ref, why, note="folder_detached")
    if head is not None and is_at(found, ref, head):
        return LeaveAlone(ref, f"it is at the latest commit of {ref}")
    return Move(ref, _why_move(found, ref, head))


def _no_git_folder(found: OtherObject, *, below: bool) -> Refuse:
    if found.broken:
        return Refuse("broken_git_folder")
    if found.inside:
        return Refuse("inside_git_folder", {"folder": found.inside})
    if below:
        return Refuse("directory_of_git_folders")
    return Refuse("not_a_git_folder", {"type": found.type or "thing"})


def looks_like_commit(ref: Ref) -> bool:
    """Return whether a ref's name is probably a commit ID, possibly shortened."""
    name = ref.name.lower()
    return bool(re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}|(?=.*[0-9])(?=.*[a-f])[0-9a-f]{7,39}", name))


def not_azure_devops(remote: Remote) -> Refuse:
    """Return the failure of a Git folder whose remote URL is not a repository in Azure DevOps."""
    match remote.kind:
        case RemoteKind.NONE:
            return Refuse("no_remote_repository")
        case RemoteKind.SERVER:
            return Refuse("devops_server")
        case RemoteKind.NO_HTTPS:
            return Refuse("remote_not_https", {"https": remote.https})
        case _:
            return Refuse("not_azure_devops")


def _clone_or_refuse(source: Repository | None, ref: Ref | None, *, ref_not_found: bool) -> Clone | Refuse:
    if source is None:
        return Refuse("folder_not_found")
    return Refuse("ref_not_found") if ref_not_found else Clone(source, ref, "nothing exists at this path")


def _why_move(found: GitFolder, ref: Ref, head: ResolvedRef | None) -> str:
    if found.branch != ref.branch:
        return f"it {f'is on branch {found.branch}' if found.branch else 'has a detached HEAD'}, and the settings name {ref}"
    if head is None:
        return f"Azure DevOps did not return the latest commit of {ref}"
    return f"{ref} has moved"


def nearest(ref: Ref, names: Sequence[str]) -> str | None:
    """Return the existing branch or tag with the most similar name, or None."""
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
    """Return whether a folder is on a ref and at its latest commit `head`."""
    return found.commit == head.commit and found.branch == ref.branch
