"""The Azure DevOps layer of `check`: each repository and ref of the settings and of the Git folders."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from git_refresh.cli.checks import Check, failed, warning
from git_refresh.failures.diagnosis import DiagnosisContext, explain, finding, what_happened
from git_refresh.failures.failure import ServiceError, ServiceFailure, is_definite
from git_refresh.model.repository import Repository
from git_refresh.model.values import Ref, RefKind, ResolvedRef
from git_refresh.run.context import Run, facts_of, suggestion
from git_refresh.run.decide import Source, looks_like_commit
from git_refresh.settings.models import Workspace

MAX_NAME_LISTS = 100
"""Lists of branch or tag names to keep in memory, for suggesting the nearest name."""


def named_sources(workspaces: Sequence[Workspace], seen: Collection[Source]) -> list[Source]:
    """Return each repository and ref of the settings.

    A repository without a ref is listed only if neither another entry nor a seen Git folder refers to it.
    """
    folders = [folder for workspace in workspaces for folder in workspace.folders if folder.repository]
    full = [(folder.repository, folder.ref) for folder in folders if folder.repository and folder.ref]
    led_to = {repository for repository, _ in (*full, *seen)}
    others = [
        (folder.repository, None)
        for folder in folders
        if folder.repository and folder.repository not in led_to
    ]
    return list(dict.fromkeys([*full, *others]))


class RefChecks:
    """The ref lookups of a dry run, and the lines about their results."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.answers = run.answers
        self.named: set[Source] = set()
        """Sources of the settings. If only a Git folder names a missing branch, the folder's line reports it."""
        self._names: dict[tuple[Repository, RefKind], tuple[str, ...] | None] = {}

    def look(self, source: Source) -> None:
        """Look up a source, unless the run has its result. If the ref is missing, list the existing names."""
        repository, ref = source
        self.named.add(source)
        with suppress(ServiceError, TimeoutError):
            answer = self.answers.get(source) or self._run.head(repository, ref)
            missing = (
                isinstance(answer, ResolvedRef)
                and answer.commit is None
                and len(self._names) < MAX_NAME_LISTS
            )
            if missing and ref is not None and self._list(repository, ref.kind) == ():
                self._list(repository, "branch")

    def _list(self, repository: Repository, kind: RefKind) -> tuple[str, ...] | None:
        self._names[repository, kind] = names = self._run.heads.names(repository, kind)
        return names

    def found(
        self, repository: Repository, ref: Ref | None
    ) -> tuple[ResolvedRef | ServiceFailure | None, tuple[str, ...]]:
        """Return the lookup's result, None if not requested, and the existing names if the ref is missing."""
        names = self._names.get((repository, ref.kind)) if ref else None
        return self.answers.get((repository, ref)), names or ()

    def repositories(
        self, context: DiagnosisContext, reported: "RefChecks", kept: Collection[Repository]
    ) -> Iterator[Check]:
        """Yield a line for each unreadable repository that `reported` does not have.

        `kept` has the repositories that jobs clone with credentials that the app refreshes. The app needs access to these and to those
        of the settings. Others cause only a warning.
        """
        known = {
            repository
            for (repository, _), answer in reported.answers.items()
            if isinstance(answer, ServiceFailure)
        }
        wanted = {repository for repository, _ in reported.answers} | set(kept)
        for (repository, _), answer in sorted(self.answers.items(), key=_by_name):
            if isinstance(answer, ServiceFailure) and repository not in known:
                known.add(repository)
                around = facts_of(context, repository, None)
                if repository in wanted or not is_definite(answer):
                    yield _check(repository, None, answer, around)
                else:
                    diagnosis = finding("job_repository_not_readable", around, happened=what_happened(answer))
                    yield warning("azure_devops", str(repository), diagnosis)

    def checks(self, context: DiagnosisContext, shown: Collection[Source]) -> Iterator[Check]:
        """Yield a line for each looked-up source in `shown`, ordered by name."""
        answers = [(source, answer) for source, answer in self.answers.items() if source in shown]
        for (repository, ref), answer in sorted(answers, key=_by_name):
            around = facts_of(context, repository, ref)
            missing = isinstance(answer, ResolvedRef) and answer.commit is None
            if missing and ref is not None and (repository, ref) in self.named:
                yield self._missing(repository, ref, around)
            else:
                yield _check(repository, None if missing else ref, answer, around)

    def _missing(self, repository: Repository, ref: Ref, context: DiagnosisContext) -> Check:
        subject, (_, names) = f"{repository} {ref}", self.found(repository, ref)
        if self._names.get((repository, "branch")) == ():
            return failed("azure_devops", subject, finding("repository_empty", context))
        if looks_like_commit(ref):
            return failed(
                "azure_devops", subject, finding("commit_as_ref", replace(context, commit=ref.name))
            )
        return failed(
            "azure_devops", subject, finding("ref_not_found", context, nearest=suggestion(ref, names))
        )


def _by_name(item: tuple[Source, object]) -> tuple[str, str]:
    (repository, ref), _ = item
    return str(repository).casefold(), str(ref or "")


def _check(
    repository: Repository, ref: Ref | None, answer: ResolvedRef | ServiceFailure, context: DiagnosisContext
) -> Check:
    subject = f"{repository} {ref}" if ref else str(repository)
    if isinstance(answer, ServiceFailure):
        found = explain(answer, context)
        return (failed if is_definite(answer) else warning)("azure_devops", subject, found)
    if answer.commit is None:
        return Check("azure_devops", subject, "ok", "can be read", kind="can be read")
    return Check("azure_devops", subject, "ok", f"is at {answer.commit[:8]}", kind="exists")
