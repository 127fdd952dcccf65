"""Any exception in any order: no thread waits forever, and every workspace finishes once."""

import json
import logging
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.clients.single_flight import NeverComputedError, SingleFlight
from git_refresh.failures.failure import Service, ServiceError
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.values import GitFolder, StoredCredential
from git_refresh.output.log import RedactingLogger
from git_refresh.run.pool import Limits, Pool
from git_refresh.run.refresh import refresh
from git_refresh.run.report import WorkspaceReport
from git_refresh.settings.load import load
from tests.support.examples import as_often_as
from tests.support.fakes import NOW, FakeServices, FakeWorkspace, failure

PATIENCE = 30.0
"""Seconds after which a test hangs; normal times are far below."""

FAULTS: dict[str, Callable[[], BaseException]] = {
    "nothing": lambda: Exception("never raised"),
    "no": lambda: failure(status=403),
    "trouble": lambda: failure(status=503),
    "a lost answer": lambda: failure(status=None),
    "a rejection": lambda: failure(Service.AZURE_DEVOPS, 401),
    "no time": TimeoutError,
    "a mistake": ZeroDivisionError,
    "no stack": RecursionError,
    "no memory": MemoryError,
    "an exit": SystemExit,
    "an interrupt": KeyboardInterrupt,
    "an end of the world": BaseException,
}
OPERATIONS = [
    "sign_in",
    "folders",
    "credentials",
    "update_credential",
    "create_credential",
    "find",
    "folder",
    "move_folder",
]
OLD, NEW = "a" * 40, "b" * 40
URL = "https://dev.azure.com/contoso/p/_git/etl"

faults = st.sampled_from(list(FAULTS))


@pytest.fixture(autouse=True, scope="module")
def restless() -> Iterator[None]:
    """Make threads switch constantly."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@given(fault=faults, askers=st.integers(1, 6), keys=st.integers(1, 3))
@as_often_as(300)
def test_every_caller_of_a_shared_look_up_gets_a_result(fault: str, askers: int, keys: int) -> None:
    once: SingleFlight[int, str] = SingleFlight(Deadline.after(PATIENCE, SystemClock()))
    computed: list[int] = []
    outcomes: list[str] = []

    def ask(key: int) -> None:
        def compute() -> str:
            computed.append(key)
            if fault != "nothing":
                raise FAULTS[fault]()  # noqa: RSE102  # the value is a factory
            return "value"

        try:
            outcomes.append(once.get(key, compute))
        except (ServiceError, TimeoutError, NeverComputedError) as error:
            outcomes.append(type(error).__name__)
        except BaseException as error:  # noqa: BLE001  # the first exception is stored
            outcomes.append(f"itself: {type(error).__name__}")

    threads = [threading.Thread(target=ask, args=[number % keys]) for number in range(askers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert len(outcomes) == askers
    assert sorted(computed) == sorted(set(computed)), "once for each key"


@given(size=st.integers(1, 5), tasks=st.lists(st.tuples(faults, st.integers(0, 3)), max_size=20))
@as_often_as(300)
def test_a_pool_does_every_task_once_whatever_tasks_raise_and_queue(
    size: int, tasks: list[tuple[str, int]]
) -> None:
    pool, done = Pool(Limits(size, size)), threading.Semaphore(0)
    ran: list[int] = []
    running, most, lock = [0], [0], threading.Lock()

    def task(number: int, fault: str, more: int) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        for extra in range(more):
            pool.submit(partial(task, 100 * (number + 1) + extra, "nothing", 0))
        with lock:
            running[0] -= 1
        ran.append(number)
        done.release()
        if fault != "nothing":
            raise FAULTS[fault]()  # noqa: RSE102  # the value is a factory

    before = threading.active_count()
    for number, (fault, more) in enumerate(tasks):
        pool.submit(partial(task, number, fault, more))
    pool.start()
    expected = len(tasks) + sum(more for _, more in tasks)
    for _ in range(expected):
        assert done.acquire(timeout=PATIENCE)
    pool.close()
    assert len(ran) == expected
    assert most[0] <= size
    assert threading.active_count() <= before + size


@given(size=st.integers(2, 8), hung=st.integers(1, 7))
@as_often_as(100)
def test_no_task_waits_behind_a_hung_one_while_a_thread_is_to_be_had(size: int, hung: int) -> None:
    hung = min(hung, size - 1)
    pool, release, done = Pool(Limits(size, size)), threading.Event(), threading.Semaphore(0)
    pool.start()
    for _ in range(hung):
        pool.submit(lambda: bool(release.wait(PATIENCE)))  # type: ignore[arg-type]
        pool.submit(done.release)
    try:
        for _ in range(hung):
            assert done.acquire(timeout=PATIENCE)
    finally:
        release.set()
        pool.close()


class Count:
    """Counts the reports of each finished workspace (`ports.Progress`)."""

    def __init__(self) -> None:
        self.done_with: list[str] = []

    def started(self, name: str, what: str) -> None: ...

    def finished(self, report: WorkspaceReport) -> None:
        self.done_with.append(report.name)


def raising(at: str, fault: str, nth: int) -> Callable[[str], None]:
    seen = [0]

    def before(what: str) -> None:
        if what == at and fault != "nothing":
            seen[0] += 1
            if seen[0] > nth:
                raise FAULTS[fault]()  # noqa: RSE102  # the value is a factory

    return before


fleets = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), faults, st.integers(0, 1), st.booleans()), min_size=1, max_size=5
)


@given(fleet=fleets, concurrency=st.integers(1, 6), shared=faults)
@as_often_as(400)
def test_every_workspace_comes_to_its_end_once_and_says_why_it_failed(
    fleet: list[tuple[str, str, int, bool]], concurrency: int, shared: str
) -> None:
    workspaces, entries = {}, []
    for number, (at, fault, nth, stored) in enumerate(fleet):
        host = f"https://adb-{number}.1.azuredatabricks.net"
        paths = [f"/Repos/etl/{name}" for name in "abcdef"]
        workspaces[host] = FakeWorkspace(
            stored=[StoredCredential(5, "azureDevOpsServices", "git-refresh")] if stored else [],
            at={path: GitFolder(id_, path, URL, "main", OLD) for id_, path in enumerate(paths, start=1)},
            heads={"main": NEW},
            before=raising(at, fault, nth),
        )
        entries.append({"host": host, "auth": "managed_identity", "folders": [*paths, "/Repos/more/*"]})
    services = FakeServices(workspaces, {"main": NEW})
    if shared != "nothing":
        services.devops_failure = FAULTS[shared]()  # type: ignore[assignment]
    environ = {"WORKSPACES": json.dumps(entries), "REFRESH_CONCURRENCY": str(concurrency)}
    lines: list[dict[str, object]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(json.loads(record.getMessage()))  # type: ignore[method-assign]
    logger, count = logging.getLogger("git_refresh"), Count()
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    deadline = Deadline.after(PATIENCE, SystemClock())
    try:
        report = refresh(
            load(environ),
            services,
            deadline,
            next_run=NOW + timedelta(minutes=15),
            logger=RedactingLogger(),
            progress=count,
        )
    finally:
        logger.removeHandler(handler)
    assert deadline.remaining() > PATIENCE / 2, "nothing waited for what never came"
    names = [f"adb-{number}" for number in range(len(fleet))]
    assert sorted(count.done_with) == names
    assert [workspace.name for workspace in report.workspaces] == names
    assert [line["event"] for line in lines] == ["git_refresh.workspace"] * len(fleet) + ["git_refresh.run"]
    by_name = {str(line.get("name")): line for line in lines}
    for found in report.workspaces:
        codes = [error.code for _, error in found.failures()]
        assert (found.result == "ok") == (codes == []), "whoever failed says why, in the report"
        counts = {failure["code"]: failure["count"] for failure in by_name[found.name]["failures"]}  # type: ignore[attr-defined]
        assert counts == Counter(codes), "and in its line"
