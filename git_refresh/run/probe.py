"""Checks whether Azure DevOps accepts the run's token before it replaces a stored one."""

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
"""Thousands of repositories that reject the token could exhaust the rate limit of Azure DevOps."""

PROBE_LIMIT = 10.0
"""Maximum seconds for all lookups of one workspace before its credential is stored."""


@dataclass(frozen=True, slots=True)
class TokenProbe:
    """Check of the token with the repositories of one workspace.

    The check includes the repositories of unselected folders, because they use the same credential.
    """

    api: WorkspaceApi
    entry: Entry
    run: Run
    context: DiagnosisContext

    def rejection(self, listed: Listing) -> tuple[tuple[Source, ...], Diagnosis] | None:
        """Return the rejected lookups and the first diagnosis; None if the token can be stored.

        The token counts as rejected only if each probed repository rejects it. Usually, the first one accepts it.
        If a lookup fails for another reason or times out, the token can be stored.
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
        own = self._probed_first(whole.workspace, self._sources(workspace, listed))
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
        """Yield one ref of each repository, because a token is valid for a whole repository or not at all."""
        seen: set[Repository] = set()
        for repository, ref in sources:
            if repository not in seen and self.run.may_be_asked(repository):
                seen.add(repository)
                yield repository, ref

    def _probed_first(self, whole: Workspace, own: Iterator[Source]) -> Iterator[Source]:
        """Yield the selected sources that a probe of all the workspace's folders would include anyway."""
        if len(whole.folders) <= MAX_PROBED_REPOSITORIES and all(
            folder.below is None for folder in whole.folders
        ):
            return self._each_once(own)
        first = {
            repository for repository, _ in islice(self._each_once(_named(whole)), MAX_PROBED_REPOSITORIES)
        }
        return self._each_once(source for source in _named(self.entry.workspace) if source[0] in first)

    def _sources(self, workspace: Workspace, listed: Listing) -> Iterator[Source]:
        """Yield the repositories and refs of a workspace's folders, those that need the fewest requests first.

        Usually, a repository accepts the token before the folders that need a request each.
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
            except ServiceError:  # an unreadable folder does not reject the token
                if cut_short():
                    raise
                continue
            if found.repository is not None:
                yield found.repository, found.ref


def _named(workspace: Workspace) -> Iterator[Source]:
    for folder in workspace.folders:
        if folder.repository is not None and folder.ref is not None:
            yield folder.repository, folder.ref
