"""Any response of one service: the run ends in time, reports it, and leaks nothing.

hypothesis generates the responses. `make test` runs the named examples and a fixed selection, `make fuzz` new
ones. To keep a failing example, add its printed form to `NAMED`.
"""

from collections.abc import Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.fuzz_fixture import Example, Service, Stage, staged
from tests.support.fuzz_settings import FUZZ, some
from tests.support.hostile_responses import ROUTES, examples, examples_of_two
from tests.support.named_responses import NAMED, PROCESSES
from tests.support.oracle import Outcome, broken

pytestmark = pytest.mark.timeout(0 if FUZZ else 120)

SERVICES = list(ROUTES)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as stage:
        yield stage


def play(stage: Stage, example: Example, *, process: bool = False) -> Outcome:
    outcome = stage.process(example) if process else stage.tick(example)
    problems = broken(outcome, stage.secrets())
    assert not problems, "\n".join([*problems, f"replay: {example!r}"])
    return outcome


@pytest.mark.parametrize("name", NAMED)
def test_a_run_that_meets(stage: Stage, name: str) -> None:
    play(stage, NAMED[name])


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_that_meets(stage: Stage, name: str) -> None:
    play(stage, NAMED[name], process=True)


@pytest.mark.parametrize("service", SERVICES)
@some(8)
@given(data=st.data())
def test_a_run_that_meets_whatever_is_answered_by(
    stage: Stage, service: Service, data: st.DataObject
) -> None:
    example = data.draw(examples(service))
    assume(example not in stage.passed)  # hypothesis often generates equal examples
    play(stage, example)
    stage.passed.add(example)


@some(10, of_fuzz=2)
@given(example=examples_of_two())
def test_a_run_that_meets_whatever_is_answered_by_two_services(stage: Stage, example: Example) -> None:
    play(stage, example)


@pytest.mark.parametrize("service", SERVICES)
@some(3, of_fuzz=4)
@given(data=st.data())
def test_a_run_after_two_that_met_whatever_is_well(
    stage: Stage, service: Service, data: st.DataObject
) -> None:
    example = data.draw(examples(service))
    for _ in range(2):
        play(stage, example)
    outcome = play(stage, Example(service, ()))
    assert outcome.report()["result"] == "ok", f"{outcome.raised}\nreplay behind two of: {example!r}"
