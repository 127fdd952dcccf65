"""Looking at one OAuth secret, and rotating it step by step: killed between any two, it leaves at most a secret that is reported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import SecretStr

from git_refresh.admin.rotation.decide import (
    Decision,
    RotationTarget,
    SecretSnapshot,
    SignIn,
    decide,
    expired,
    kept_until,
    places,
    replaced,
    unclaimed,
    untagged,
    why_kept,
)
from git_refresh.admin.rotation.report import (
    NotSignedIn,
    PreviousSecretReport,
    SecretReport,
    UnmanagedSecretReport,
)
from git_refresh.admin.rotation.steps import (
    ParallelMap,
    RotationClients,
    SecretStore,
    Steps,
    StoppedError,
    no_room,
    outcome,
)
from git_refresh.admin.values import OAuthSecret, Version, place_of
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, explain, finding, interrupted
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline


class Rotation:
    """The work on one secret, with everything that it has done and found."""

    def __init__(  # noqa: PLR0913  # each a fact of its own, given by name
        self,
        target: RotationTarget,
        *,
        beside: Sequence[str],
        vault: SecretStore,
        services: RotationClients,
        crew: ParallelMap,
        deadline: Deadline,
        within: timedelta,
        context: DiagnosisContext,
        lifetime: timedelta | None = None,
        force: bool = False,
        hold: str = "",
        allowed: frozenset[str] = frozenset(),
        said: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take the secret.

        Args:
            target: which one.
            beside: other names of the list that stand with the same service principal, be it among others.
            vault: where it is stored.
            services: where it is made and tried.
            crew: tries it at many workspaces at once.
            deadline: when all ends.
            within: those that end within so long are rotated.
            context: what is known around it.
            lifetime: how long a new one is to live; None: as long as the old one.
            force: whether it is rotated whenever it ends.
            hold: why nothing may be deleted that has not expired, if so.
            allowed: the workspaces (hosts) that a new one may be stored without, where they cannot be reached.
            said: is told each thing that is done.
        """
        self._target = target
        self._beside = beside
        self._vault = vault
        self._services = services
        self._deadline = deadline
        self._within = within
        self._lifetime = lifetime
        self._force = force
        self._hold = hold
        self._allowed = allowed
        self._place = place_of(vault.url, target.name)
        context = replace(context, host=target.host, secret=target.name, client_id=target.client_id)
        self._steps = Steps(target, vault, services, crew, deadline, context, said)
        self._errors: list[Diagnosis] = []

    @property
    def name(self) -> str:
        """The secret's."""
        return self._target.name

    def plan(self) -> tuple[SecretReport, Decision | None]:
        """What would be done. Writes nothing."""
        try:
            seen = self._look()
        except ServiceError as error:
            return self.failed(explain(error.failure, self._steps.context)), None
        decision = self._decide(seen)
        former = [PreviousSecretReport(each.id, each.created_at, "delete") for each in decision.delete]
        return self._report(seen, decision, "rotate" if decision.create else "unchanged", former), decision

    def apply(self, approved: Decision) -> SecretReport:
        """Look once more, and do what is to be done then, as far as it was approved.

        Raises:
            KeyboardInterrupt: somebody has ended it; what was made and not yet stored was deleted again, if that went well.
        """
        try:
            seen = self._look()
        except ServiceError as error:
            return self.failed(explain(error.failure, self._steps.context))
        decision = self._decide(seen)
        former = [
            self._delete(seen, each)
            if each in approved.delete
            else PreviousSecretReport(each.id, each.created_at, "kept", reason="it was not in the plan")
            for each in decision.delete
        ]
        if not (decision.create and approved.create):
            return self._report(seen, decision, "unchanged", former)
        untried = self._steps.untried(seen.hosts(SignIn.UNREACHABLE), self._allowed)
        if untried is not None:
            self._errors.append(untried)
            return self._report(seen, decision, "failed", former)
        return self._renew(seen, decision, former)

    def issue(self) -> SecretReport:
        """Make the first one, where Key Vault has no secret of this name. What there is in Databricks besides is reported."""
        try:
            secrets = self._services.oauth_secrets(self._target.host)
            principal = secrets.principal_id(self._target.client_id)
            listed = secrets.list(principal)
            beside = {name: self._vault.versions(name) for name in self._beside}
        except ServiceError as error:
            return self.failed(explain(error.failure, self._steps.context))
        seen = SecretSnapshot(
            self._place,
            Version(""),
            sign_ins={},
            versions=(),
            beside=beside,
            principal=principal,
            secrets=listed,
        )
        decision = Decision(None, "there is none", create=True, lifetime=self._lifetime)
        self._steps.context = replace(self._steps.context, principal_id=str(principal))
        return self._renew(seen, decision, ())

    def _renew(
        self, seen: SecretSnapshot, decision: Decision, former: Sequence[PreviousSecretReport]
    ) -> SecretReport:
        try:
            new = self._steps.create(seen, decision)
            self._steps.store(seen, new, self._allowed)
        except StoppedError as stopped:
            self._errors.append(stopped.why)
            return self._report(seen, decision, "failed", former)
        report = self._report(seen, decision, "rotated", former)
        return replace(report, new_id=new.about.id, expires_at=new.about.expires_at)

    # Looking

    def _look(self) -> SecretSnapshot:
        """In this order: what is stored meanwhile is not taken for nobody's.

        Raises:
            ServiceError: something cannot be read, or is not there.
        """
        target = self._target
        secrets = self._services.oauth_secrets(target.host)
        principal = secrets.principal_id(target.client_id)
        listed = secrets.list(principal)
        versions = self._vault.versions(target.name)
        beside = {name: self._vault.versions(name) for name in self._beside}
        current = self._vault.current(target.name)
        if current is None:
            what = Operation.READ_LATEST_VERSION.of(target.name)
            raise ServiceError(
                ServiceFailure(Service.KEY_VAULT, what, FailureKind.ANSWER, 404, "SecretNotFound")
            )
        failures = self._steps.failures = self._steps.sign_in(target.hosts, current.value)
        seen = SecretSnapshot(
            self._place,
            current.version,
            {host: outcome(failures.get(host)) for host in target.hosts},
            versions,
            beside,
            principal,
            listed,
            vault_time=self._vault.now(),
            databricks_time=secrets.now(),
        )
        return replace(seen, held=self._held(seen, current.value) | self._still_valid(seen))

    def _still_valid(self, seen: SecretSnapshot) -> dict[str, str]:
        """Ones that are said to have expired, and that a workspace accepts which rejects the current one."""
        held = dict[str, str]()
        ended = {each.id for each in expired(self._target, seen)} if seen.hosts(SignIn.REJECTED) else set()
        for version in seen.versions:
            id_ = version.names(self._target.client_id)
            if id_ not in ended or id_ in held:
                continue
            rejecting = seen.hosts(SignIn.REJECTED)
            try:
                value = self._vault.value(self._target.name, version.id)
            except ServiceError:
                held[id_] = "it may still be valid: the version that names it cannot be read"
                continue
            failures = self._steps.sign_in(rejecting, value)
            if accepting := [host for host in rejecting if host not in failures]:
                held[id_] = f"it is still valid at {places(accepting)}"
        return held

    def _held(self, seen: SecretSnapshot, current: SecretStr) -> dict[str, str]:
        """Replaced ones that may be in use none the less: tags can be copied, and values without them. Only the values tell."""
        target = self._target
        if kept_until(target, seen) or why_kept(target, seen):
            return {}
        ended = expired(target, seen)
        former = [each for each in replaced(target, seen) if each not in ended]
        if not former:
            return {}
        if self._hold:
            return {each.id: self._hold for each in former}
        in_use, held = {target.name: current}, dict[str, str]()
        for name in self._beside:
            try:
                found = self._vault.current(name)
            except ServiceError:
                why = f'it may be in use as "{name}", which cannot be read'
                return {each.id: why for each in former}
            if found is not None:
                in_use[name] = found.value
        for each in former:
            for version in seen.versions:
                if each.id == version.names(target.client_id) and each.id not in held:
                    why = self._why_held(version, in_use)
                    held |= {each.id: why} if why else {}
        return held

    def _why_held(self, version: Version, in_use: Mapping[str, SecretStr]) -> str:
        try:
            value = self._vault.value(self._target.name, version.id)
        except ServiceError:
            return "it may be in use: the version that names it cannot be read"
        user = next((name for name, used in in_use.items() if used == value), None)
        return f'it is in use: "{user}" has its value' if user else ""

    def _decide(self, seen: SecretSnapshot) -> Decision:
        self._steps.context = replace(self._steps.context, principal_id=str(seen.principal))
        now = self._deadline.clock.now()
        decision = decide(self._target, seen, now, self._within, self._lifetime, force=self._force)
        if decision.stop:
            self._errors.append(self._stopped(decision, seen))
        return decision

    def _stopped(self, decision: Decision, seen: SecretSnapshot) -> Diagnosis:
        match decision.stop:
            case "room":
                there = [each for each in seen.secrets if each not in decision.delete]
                return no_room(there, self._now(seen), self._steps.context)
            case "principal":
                return finding("secret_of_another_principal", self._steps.context, other=seen.current.whose)
            case "scopes":
                scopes = sorted({" ".join(sorted(each.scopes)) or "all" for each in seen.secrets})
                return finding("scopes_differ", self._steps.context, scopes="; ".join(scopes))
            case _:
                found = finding("secret_without_expiration", self._steps.context)
                return replace(
                    found, message="The secret has no expiration date, so that it was not rotated."
                )

    def _delete(self, seen: SecretSnapshot, former: OAuthSecret) -> PreviousSecretReport:
        try:
            self._steps.delete(seen.principal, former)
        except ServiceError as error:
            self._errors.append(explain(error.failure, self._steps.context))
            return PreviousSecretReport(former.id, former.created_at, "failed")
        return PreviousSecretReport(former.id, former.created_at, "deleted")

    def _now(self, seen: SecretSnapshot) -> datetime:
        """The time by the services' clocks where they show one."""
        return seen.now or self._deadline.clock.now()

    # Telling

    def failed(self, why: Diagnosis) -> SecretReport:
        """What was done of it until this kept it from going on."""
        target, done = self._target, tuple(self._steps.done)
        return SecretReport(
            target.name,
            target.client_id,
            target.host,
            target.workspaces,
            "failed",
            steps=done,
            errors=(*self._errors, why),
        )

    def interrupted(self) -> SecretReport:
        """The same, where somebody has ended it."""
        return self.failed(interrupted(self._steps.context))

    def _report(
        self, seen: SecretSnapshot, decision: Decision, action: str, former: Sequence[PreviousSecretReport]
    ) -> SecretReport:
        target = self._target
        kept = [
            PreviousSecretReport(each.id, each.created_at, "kept", decision.later_from)
            for each in decision.later
        ]
        kept += [
            PreviousSecretReport(each.id, each.created_at, "kept", reason=why) for each, why in decision.held
        ]
        return SecretReport(
            target.name,
            target.client_id,
            target.host,
            target.workspaces,
            "failed" if action == "unchanged" and self._errors else action,  # type: ignore[arg-type]
            decision.why,
            decision.ends,
            previous=(*former, *kept),
            unmanaged=self._unknown(seen, decision, stored=action == "rotated"),
            not_signed_in=self._not_signed_in(),
            steps=tuple(self._steps.done),
            errors=tuple(self._errors),
        )

    def _unknown(
        self, seen: SecretSnapshot, decision: Decision, *, stored: bool
    ) -> tuple[UnmanagedSecretReport, ...]:
        """Those of nobody, after all that was done. One that may have been stored is looked for by the next call."""
        steps = self._steps
        now = [
            each for each in (*seen.secrets, *steps.made) if each.id not in steps.gone | steps.maybe_stored
        ]
        found = unclaimed(self._target, replace(seen, secrets=now), self._now(seen))
        named = {version.names(self._target.client_id) for version in seen.versions}
        untagged_name = untagged(seen) if decision.known or stored else self._target.name
        return tuple(
            UnmanagedSecretReport(
                each.id,
                each.created_at,
                each.expires_at,
                self._note(each, untagged_name, named=each.id in named),
            )
            for each in found
        )

    def _not_signed_in(self) -> tuple[NotSignedIn, ...]:
        return tuple(
            NotSignedIn(host, outcome(failure), self._steps.refused(host))
            for host, failure in self._steps.failures.items()
        )

    def _note(self, secret: OAuthSecret, untagged: str | None, *, named: bool) -> Diagnosis:
        context = replace(self._steps.context, oauth_secret=secret.id)
        made = f"{secret.created_at:%Y-%m-%d at %H:%M} UTC" if secret.created_at else "nobody knows when"
        ends = f"on {secret.expires_at:%Y-%m-%d}" if secret.expires_at else "never"
        if named:
            return finding("unproven_oauth_secret", context, made=made, ends=ends)
        if untagged is None:
            return finding("unknown_oauth_secret", context, made=made, ends=ends)
        return finding("untagged_oauth_secret", replace(context, secret=untagged), made=made, ends=ends)
