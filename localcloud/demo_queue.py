"""`make run-queue`: one fleet, three workers, and the platform's queue between the timer and them (`FAN_OUT=queue`).

As in `make run`, nothing is staged but the cloud. The queue is Microsoft's own storage emulator; each worker is a process with the real
Functions worker in it, and listens to the queue as the Functions host does.
"""

import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from git_refresh.run import slices
from localcloud.cloud import Cloud
from localcloud.demo import APP, NotAsToldError, console, expect, say, state_of, waiting
from localcloud.faults import Fault, delay, status
from localcloud.fleet import Fleet, seed
from localcloud.queues import QueueOptions, connected, send_outputs
from localcloud.worker import Worker
from tools.instances import Instance, next_line

WORKSPACES, WORKERS, LOCK_S = 6, 3, 6


@dataclass(slots=True)
class Done:
    """What became of one delivery of a message."""

    worker: int
    slice: int
    workspaces: Sequence[str]
    count: int
    began: float
    seconds: float = 0.0
    result: str = "killed"


@dataclass(slots=True)
class Stage:
    """The timer's worker, the queue and the others."""

    timer: Worker
    app: Path
    fleet: Fleet
    workers: dict[int, Instance] = field(default_factory=dict)

    def start(self) -> int:
        """One worker more; its number."""
        number = max(self.workers, default=0) + 1
        self.workers[number] = Instance(self.app, os.environ, invisible=LOCK_S)
        return number

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()

    def tick(self, watch: Callable[[Done], None] = lambda _: None) -> list[Done]:
        """Fire the timer, and follow the workers until the queue is empty: what each has done."""
        outcome = self.timer.fire_timer("refresh_git")
        expect(outcome.ok, f"the timer succeeds, and it said: {outcome.message}")
        service = connected(os.environ)
        left = send_outputs(service, self.timer.bindings["refresh_git"], outcome, QueueOptions())
        started, done = time.monotonic(), list[Done]()
        under_way: dict[tuple[int, str], Done] = {}
        while left:
            worker, line = next_line(list(self.workers.values()))
            number = next(key for key, each in self.workers.items() if each is worker)
            now = time.monotonic() - started
            match line["event"]:
                case "delivered":
                    said = json.loads(line["text"])
                    begun = Done(number, said["slice"], said["workspaces"], line["dequeue_count"], now)
                    done.append(begun)
                    under_way[number, line["message_id"]] = begun
                    watch(begun)
                case "deleted" | "returned" as event:
                    ended = under_way.pop((number, line["message_id"]))
                    ended.seconds = now - ended.began
                    ended.result = "ok" if event == "deleted" else "failed, red"
                    left -= event == "deleted"
                case "log" if line["logger"] == "git_refresh":
                    event = json.loads(line["message"])
                    if event["event"] == "git_refresh.message_skipped":
                        console.print(Text(f"  worker {number}: {event['problems'][0]}\n", "dim"))
                case _:
                    pass
        return done


def main() -> None:
    """Run the demo; exit with 1 if anything was not as told."""
    try:
        with Cloud() as cloud, tempfile.TemporaryDirectory() as place:
            with waiting("six workspaces, and Microsoft's storage emulator"):
                fleet = seed(cloud, WORKSPACES)
                account = cloud.storage_account("stgitrefresh")
            os.environ |= {
                **cloud.environment(),
                **fleet.settings,
                **account.settings,
                "AzureWebJobsStorage__clientId": cloud.identity.client_id,
                "FAN_OUT": "queue",
                # The next quarter of an hour may be seconds away, and then no slice is begun.
                "REFRESH_SCHEDULE": f"0 {datetime.now(UTC) + timedelta(minutes=15):%M} * * * *",
            }
            logging.getLogger("git_refresh").propagate = False
            logging.getLogger("git_refresh").addHandler(logging.NullHandler())
            logging.getLogger().addHandler(logging.NullHandler())
            slices.MAX_WORKSPACES_PER_SLICE = 2
            with waiting("the Functions worker and the SDKs"):
                timer = Worker(APP)
            stage = Stage(timer, _app(Path(place)), fleet)
            try:
                with timer:
                    _tell(cloud, stage)
            finally:
                stage.close()
    except NotAsToldError as error:
        console.print(Text(f"✗ Not as told: {error}", "bold red"))
        sys.exit(1)
    console.print(Text("All as told.", "bold green"))
    console.print(
        "\nWhat to read next: docs/fan-out.md, when to turn it on, what it costs, and how it behaves."
    )


def _app(place: Path) -> Path:
    """The app as it is deployed, but that a message which has failed comes back sooner."""
    shutil.copy(APP / "function_app.py", place)
    options = json.loads((APP / "host.json").read_text())
    options["extensions"]["queues"] |= {
        "visibilityTimeout": "00:00:02",
        "maxPollingInterval": "00:00:00.2",
    }
    (place / "host.json").write_text(json.dumps(options))
    return place


def _tell(cloud: Cloud, stage: Stage) -> None:
    fleet = stage.fleet
    say(
        "An embedded cloud is up, with six workspaces, and a storage account. FAN_OUT is queue: the timer only puts messages on a queue, "
        "one for each slice of the list, and workers refresh the slices. A slice has up to 50 workspaces; here it has 2, so that there "
        "are three. Three workers listen to the queue."
    )
    for _ in range(WORKERS):
        stage.start()
    with waiting("the timer, and the workers"):
        done = stage.tick()
    _show("First tick", done)
    expect(len(done) == WORKERS and all(each.result == "ok" for each in done), "each slice is done once")
    _expect_fresh(fleet)

    head = fleet.repositories[0].commit({"jobs/load.py": "print('load, faster')\n"}, message="Load faster")
    say(
        f"Somebody pushes {head[:8]}. And while a worker is at its slice, its instance is lost: the platform gives its message to another "
        f"when nobody has asked for more time for it. That takes ten minutes in Azure, and {LOCK_S} seconds here."
    )
    slow = Fault(delay(1.5), host=fleet.workspaces[2].host)
    cloud.inject(slow)
    lost: list[int] = []

    def lose(begun: Done) -> None:
        if begun.slice == 2 and not lost:  # noqa: PLR2004  # the one whose workspace is slow
            lost.append(begun.worker)
            stage.workers[begun.worker].kill()
            stage.start()

    with waiting("the slice whose worker is lost"):
        done = stage.tick(lose)
    cloud.clear_faults()
    _show("Next tick", done)
    again = [each for each in done if each.slice == 2]  # noqa: PLR2004  # see above
    expect([each.result for each in again] == ["killed", "ok"], "the slice is done by another worker")
    expect(len(done) == WORKERS + 1, "no other slice is done twice")
    _expect_fresh(fleet)

    say(
        "And now a workspace refuses its credential. Its slice is red, and the platform delivers the message again; but the next run is "
        "minutes away and does it anyway, so the message is dropped, and the poison queue stays empty."
    )
    cloud.inject(Fault(status(403), host=fleet.workspaces[4].host, route="/git-credentials"))
    with waiting("the slice that fails"):
        done = stage.tick()
    cloud.clear_faults()
    _show("Next tick", done)
    failed = [each.result for each in done if each.slice == 3]  # noqa: PLR2004  # that of the fifth workspace
    expect(failed == ["failed, red", "ok"], "the slice is red once, and then dropped")
    secrets = [credential.token for each in fleet.workspaces for credential in each.credentials]
    texts = "\n".join(cloud.storage_account("stgitrefresh").texts)
    expect(not any(secret and secret in texts for secret in secrets), "no token was ever on the queue")


def _show(title: str, done: Sequence[Done]) -> None:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False
    )
    for heading in ("Slice", "Workspaces", "Worker", "Delivery", "After", "Took", "Result"):
        table.add_column(heading, no_wrap=True)
    for each in sorted(done, key=lambda each: (each.slice, each.began)):
        dropped = each.count > 1 and any(other.result == "failed, red" for other in done if other is not each)
        result = "dropped" if dropped and each.result == "ok" else each.result
        table.add_row(
            f"{each.slice}",
            ", ".join(each.workspaces),
            f"{each.worker}",
            f"{each.count}",
            f"{each.began:.1f} s",
            f"{each.seconds:.1f} s" if each.seconds else "",
            Text(result, "green" if result == "ok" else "dim" if result == "dropped" else "red"),
        )
    console.print(table)
    console.print()


def _expect_fresh(fleet: Fleet) -> None:
    head = fleet.repositories[0].head("main")
    for workspace in fleet.workspaces:
        state: Any = state_of(workspace)
        expect(state.token is not None, f"{workspace.host} has a credential")
        expect(state.commits["/Repos/etl/prod"] == head, f"{workspace.host} has the latest commit")


if __name__ == "__main__":
    main()
