"""Is the run's token one that Azure DevOps takes? Asked before it replaces one that is stored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, diagnose
from git_refresh.failures.failure import ServiceError, is_rejection
from git_refresh.model.clock import cut_short, operation
from git_refresh.model.repository import Repository
from git_refresh.run.context import Run, facts_of
from git_refresh.run.decide import FolderState, Source
from git_refresh.run.listing import Listing
from git_refresh.run.ports import WorkspaceApi
from git_refresh.settings.entries import Entry
from git_refresh.settings.models import Workspace

MAX_PROBED_REPOSITORIES = 20
"""Repositories that are asked, until one takes the token. A list of thousands that all reject it would use up what Azure DevOps grants."""

PROBE_LIMIT = 10.0
"""Seconds for all looks at one workspace's repositories before its credential is stored; fewer where many workspaces need threads."""


@dataclass(frozen=True, slots=True)
class TokenProbe:
    """The token, before the repositories of one workspace, which the app has signed in to.

    It is judged by all of them, also where only some of the workspace's folders are asked for: the credential serves the others too.
    """

    api: WorkspaceApi
    entry: Entry
    run: Run
    context: DiagnosisContext

    def rejection(self, listed: Listing) -> tuple[tuple[Source, ...], Diagnosis] | None:
        """Why the token must not replace the stored one: Azure DevOps rejects it for every repository of this workspace.

        Returns:
            the look-ups that were rejected, and the diagnosis of the first.

        Asks until one is accepted: mostly once, for a look-up that the folder needs anyway. A service that cannot be
        asked, and a folder that cannot be listed, say nothing against the token. Nor does what takes too long: that is asked again, with
        the usual limits, when the folders are worked on.
        """
        if not self.run.asks_devops:
            return None
        limit = min(PROBE_LIMIT, self.run.share_s / 2)
        with operation(self.run.deadline.within(limit), brief=True):
            try:
                return self._rejection(listed)
            except ServiceError:
                if not cut_short():
                    raise
        return None

    def _rejection(self, listed: Listing) -> tuple[tuple[Source, ...], Diagnosis] | None:
        workspace, whole = self.entry.workspace, self.entry.whole
        if whole is None:
            return self._rejected_by_all(self._sources(workspace, listed))
        own = self._asked_anyway(whole.workspace, self._sources(workspace, listed))
        if any(self._refusal(source) is None for source in own):
            return None
        return self._rejected_by_all(
            self._sources(whole.workspace, Listing.of(self.api, whole, self.run.deadline))
        )

    def _rejected_by_all(self, sources: Iterable[Source]) -> tuple[tuple[Source, ...], Diagnosis] | None:
        refused: dict[Source, Diagnosis] = {}
        for source in islice(self._each_once(sources), MAX_PROBED_REPOSITORIES):
            refusal = self._refusal(source)
            if refusal is None:
                return None
            refused[source] = refusal
        return (tuple(refused), next(iter(refused.values()))) if refused else None

    def _refusal(self, source: Source) -> Diagnosis | None:
        try:
            self.run.head(*source)
        except ServiceError as error:
            if is_rejection(error.failure):
                return diagnose(error, facts_of(self.context, *source))
        return None

    def _each_once(self, sources: Iterable[Source]) -> Iterator[Source]:
        """A token is taken or rejected by a repository: another ref of the same one says nothing new, and uses up nothing."""
        seen: set[Repository] = set()
        for repository, ref in sources:
            if repository not in seen and self.run.may_be_asked(repository):
                seen.add(repository)
                yield repository, ref

    def _asked_anyway(self, whole: Workspace, own: Iterator[Source]) -> Iterator[Source]:
        """The sources of which it is certain, without looking, that they are among the first of the workspace's whole list."""
        if len(whole.folders) <= MAX_PROBED_REPOSITORIES and all(
            folder.below is None for folder in whole.folders
        ):
            return self._each_once(own)
        first = {
            repository for repository, _ in islice(self._each_once(_named(whole)), MAX_PROBED_REPOSITORIES)
        }
        return self._each_once(source for source in _named(self.entry.workspace) if source[0] in first)

    def _sources(self, workspace: Workspace, listed: Listing) -> Iterator[Source]:
        """The repositories that this workspace's credential is for. First those that need no request to be known, then the list's.

        At last those of folders that the list leaves out: mostly one of the others is accepted before.
        """
        yield from _named(workspace)
        for folder in workspace.folders:
            found = FolderState.at(folder, listed.shown(folder), self.run.settings.trusted)
            if found.repository is not None:
                yield found.repository, found.ref
        for folder in listed:
            if folder.repository is not None:
                continue
            try:
                found = FolderState.at(folder, listed.look(folder), self.run.settings.trusted)
            except ServiceError:  # what cannot be found says nothing against the token
                if cut_short():
                    raise
                continue
            if found.repository is not None:
                yield found.repository, found.ref


def _named(workspace: Workspace) -> Iterator[Source]:
    """What the settings name in full."""
    for folder in workspace.folders:
        if folder.repository is not None and folder.ref is not None:
            yield folder.repository, folder.ref
