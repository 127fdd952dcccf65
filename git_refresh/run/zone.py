"""One trust zone: its Azure DevOps token, then its workspaces. What goes wrong with its identity costs no other zone anything."""

from collections.abc import Callable
from dataclasses import replace

from git_refresh.clock import Deadline
from git_refresh.diagnosis.explain import Diagnosis, Facts, explain, internal, out_of_time
from git_refresh.report import CredentialReport, WorkspaceReport
from git_refresh.run.pool import Submit
from git_refresh.run.shared import Notes, Run, facts_of_zone
from git_refresh.run.workspace import WorkspaceRefresh, folder_reports
from git_refresh.seams import Clouds, Watcher
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings
from git_refresh.symptom import ServiceError
from git_refresh.values import AZURE_DEVOPS, Token, Zone

type Why = Callable[[Facts], Diagnosis]
"""Why something is not finished."""


class ZoneRefresh:
    """The work on one zone, as tasks for the run's pool.

    Attributes:
        zone: which one.
        settings: the settings of its workspaces alone.
        facts: what is known of its identity, for diagnoses.
        token: the token that is stored in its workspaces, once it is there.
    """

    def __init__(
        self,
        zone: Zone,
        settings: Settings,
        clouds: Clouds,
        deadline: Deadline,
        *,
        dry_run: bool,
        watcher: Watcher,
        notes: Notes,
    ) -> None:
        self.zone = zone
        self.settings = settings
        self.facts = facts_of_zone(zone, settings)
        self.token: Token | None = None
        self._clouds = clouds
        self._deadline = deadline
        self._dry_run = dry_run
        self._watcher = watcher
        self._notes = notes
        self._works: dict[str, WorkspaceRefresh] = {}
        self._failure: Diagnosis | None = None

    @property
    def entries(self) -> list[Entry]:
        """Its workspaces."""
        return [entry for entry in self.settings.entries if isinstance(entry, Entry)]

    def start(self, submit: Submit, done: Callable[[Entry], None]) -> None:
        """Queue the token, and behind it each workspace's credential.

        Args:
            submit: queues a task in the run's pool.
            done: called with each workspace when it is through.
        """

        def begin() -> None:
            try:
                works = self._begin(submit, done)
            except ServiceError as error:
                self._failure = explain(error.symptom, self.facts)
            except TimeoutError:
                self._failure = out_of_time(self.facts)
            except BaseException as error:  # noqa: BLE001  # a mistake of ours must not take the other zones along
                self._failure = internal(error, self.facts)
            else:
                self._works = works
                for work in works.values():
                    work.start()
                return
            for entry in self.entries:
                done(entry)

        submit(begin, first=True)

    def _begin(self, submit: Submit, done: Callable[[Entry], None]) -> dict[str, WorkspaceRefresh]:
        services = self._clouds.services(self.zone)
        token = services.token(AZURE_DEVOPS)
        self.facts = replace(self.facts, object_id=token.object_id)
        run = Run(
            self.settings,
            services,
            services.heads(token),
            self._deadline,
            token,
            self.facts,
            self._dry_run,
            self._watcher,
            self._notes,
        )
        self.token = token
        return {
            entry.workspace.host: WorkspaceRefresh(entry, run, submit, lambda work: done(work.entry))
            for entry in self.entries
        }

    def report(self, entry: Entry, why: Why = out_of_time) -> WorkspaceReport:
        """What has become of one of its workspaces, and why the rest is not finished."""
        workspace = entry.workspace
        if (work := self._works.get(workspace.host)) is not None:
            return work.report(why)
        late = None if self._failure else why(self.facts)
        folders = folder_reports(workspace, entry.bad_folders, {}, late, self.facts)
        credential = CredentialReport("failed")
        return WorkspaceReport(
            workspace.name, workspace.host, "failed", credential, folders, self._failure or late
        )
