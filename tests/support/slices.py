"""Slices of a run, and their claims."""

from dataclasses import dataclass, field

from git_refresh.failures.failure import ServiceError
from git_refresh.model.values import Slice
from git_refresh.run.ports import ClaimResult

RUN = "b7a1c0de-0000-4000-8000-000000000001"


def entry(number: int, **more: object) -> dict[str, object]:
    host = f"https://adb-{number}.1.azuredatabricks.net"
    return {"host": host, "name": f"data-{number}", "auth": "managed_identity", **more}


@dataclass
class FakeClaims:
    """Claims in memory: the message content that has each slice, and whether it finished."""

    held: dict[tuple[Slice, str], tuple[str, bool]] = field(default_factory=dict)
    failure: ServiceError | None = None
    closed: int = 0

    def begin(self, slice_: Slice, fingerprint: str, message_id: str) -> ClaimResult:
        if self.failure:
            raise self.failure
        if (slice_, fingerprint) not in self.held:
            self.held[slice_, fingerprint] = (message_id, False)
            return ClaimResult.OURS
        holder, ended = self.held[slice_, fingerprint]
        if ended:
            return ClaimResult.ENDED
        return ClaimResult.AGAIN if holder == message_id else ClaimResult.ANOTHERS

    def end(self, slice_: Slice, fingerprint: str, message_id: str) -> None:
        if self.failure:
            raise self.failure
        self.held[slice_, fingerprint] = (message_id, True)

    def close(self) -> None:
        self.closed += 1
