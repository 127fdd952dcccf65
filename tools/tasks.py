"""The page of tasks: what an admin types, and what the terminal then shows; run for real, one after the other, on one embedded cloud."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from localcloud import Cloud, Fault, faults, play
from localcloud.fleet import CLIENT_ID, SECRET
from tools.desk import DEPLOYED, LIST, NARROW, Desk, Task

PAGE = "docs/tasks.md"
_INTRO = """\
<!-- Made by `make docs` from tools/tasks.py. Change it there. -->
# Twenty-three tasks, as typed

For admins who edit the list of workspaces. Each was really typed, one after the other, on a laptop after `az login`, over an embedded
cloud with three workspaces. `git-refresh` is [.venv/bin/git-refresh](setup.md#5-try-it-from-a-laptop).
"""


def _nothing_written(desk: Desk) -> None:
    (desk.place / LIST).unlink(missing_ok=True)


def _a_comma_too_many(desk: Desk) -> None:
    desk.write(lambda text: text.replace('"name": "data-2",', '"name": "data-2",,'))


def _mistakes(desk: Desk) -> None:
    desk.entry(1)["folders"] = [{"path": "Repos/etl/prod", "brnach": "main"}]
    desk.listed["WORKSPACES"] += [f"http://adb-{number}.7.azuredatabricks.net" for number in range(11, 51)]
    desk.write()


def _a_new_one(desk: Desk) -> None:
    new = desk.cloud.workspace("adb-0000000000000004.4.azuredatabricks.net")
    new.ungranted = True
    new.add_user(desk.you, admin=True)
    desk.listed["WORKSPACES"].append({"host": new.url, "name": "data-4", "folders": desk.entry(0)["folders"]})
    desk.entry(2)["folders"][1]["branch"] = "release"
    desk.write()


def _not_let_in(desk: Desk) -> None:
    organization, you = desk.cloud.devops.organization("contoso"), desk.you.object_id
    organization.remove_member(you)
    desk.afterwards.callback(organization.add_administrator, you)
    desk.write()


def _one_behind(desk: Desk) -> None:
    desk.entry(1)["folders"][0] = {"path": "/Repos/etl/prod", "tag": "v1.0.0"}
    desk.write()


def _a_principal_removed(desk: Desk) -> None:
    principal = desk.fleet.workspaces[1].service_principal(CLIENT_ID, SECRET)
    members = desk.fleet.workspaces[1].members.principals
    members.remove(principal)
    desk.afterwards.callback(members.append, principal)
    desk.write()


def _a_secret_ended(desk: Desk) -> None:
    play.end_secret(desk.fleet, -3)
    desk.afterwards.callback(play.end_secret, desk.fleet, 180)
    desk.write()


def _a_misspelled_branch(desk: Desk) -> None:
    desk.entry(0)["folders"][1]["branch"] = "mian"
    desk.write()


def _edits(desk: Desk) -> None:
    desk.folder(0).edit("jobs/load.py", "print('load, mended by hand')\n")
    desk.fleet.repositories[0].commit({"jobs/load.py": "print('load, fastest')\n"})
    desk.write()


def _edits_to_discard(desk: Desk) -> None:
    desk.entry(0)["folders"][0] = {"path": "/Repos/etl/prod", "on_conflict": "discard"}
    desk.write()


def _a_merge(desk: Desk) -> None:
    desk.fleet.repositories[0].commit({"jobs/load.py": "print('load, and check')\n"})
    desk.write()


def _one_hangs(desk: Desk) -> None:
    desk.cloud.inject(Fault(faults.hang(), host=desk.fleet.workspaces[1].host))
    desk.afterwards.callback(desk.cloud.clear_faults)
    desk.write()


_OBJECT_ID = "1b2c3d4e-0000-4000-8000-00000000001d"
_HOST = "https://adb-0000000000000001.1.azuredatabricks.net"
_ETL = "https://dev.azure.com/contoso/Data%20Platform/_git/etl"
_FAILED = """.checks[] | select(.status == "failed") | "\\(.subject): \\(.error.code)\""""
_CHECK_LIST = f"git-refresh check {LIST} --offline"
_CHECK, _PLAN, _RUN = (f"git-refresh {command} --settings {LIST}" for command in ("check", "plan", "run"))
TASKS = (
    Task(
        "Write a first list",
        "From the addresses of a workspace, a repository and a vault, and the service principal's application id.",
        f"git-refresh init --host {_HOST} --repository {_ETL} --client-id {CLIENT_ID} --vault https://contoso.vault.azure.net",
        _nothing_written,
    ),
    Task("Check the list before it is merged", "In a pipeline: no service is called.", _CHECK_LIST),
    Task(
        "The list has a comma too many",
        "Places count from 0: `WORKSPACES[1]` is the second entry.",
        _CHECK_LIST,
        _a_comma_too_many,
        2,
    ),
    Task(
        "The list has many mistakes",
        "The same in forty new entries, and two others in a folder.",
        _CHECK_LIST,
        _mistakes,
        2,
    ),
    Task(
        "See what deploying the list would change",
        "It has a new workspace, and another branch for a folder. Exit code 3: something differs.",
        f"{DEPLOYED} | git-refresh diff {LIST}",
        _a_new_one,
        3,
    ),
    Task(
        "Add a workspace",
        "Nobody has assigned the service principal to it yet, nor pushed the branch. `--quiet` leaves out what is well.",
        f"{_CHECK} --quiet",
        _a_new_one,
        1,
    ),
    Task(
        "Let the app in there",
        "It only looks; with `--apply` it grants, and checks.",
        f"git-refresh onboard --settings {LIST} --object-id {_OBJECT_ID} --quiet",
        _a_new_one,
    ),
    Task(
        "Azure DevOps does not let you in",
        "On a laptop `check` asks as you, whom somebody has removed from the organization.",
        _CHECK,
        _not_let_in,
        1,
    ),
    Task("See what a run would do", "The first one.", _PLAN),
    Task("Do one run now", "From a laptop it asks first.", _RUN, keys={"[y/N]": "y\n"}),
    Task(
        "See how the fleet stands",
        "A folder has been given a tag in the list, and no run has moved it yet.",
        f"git-refresh status --settings {LIST}",
        _one_behind,
    ),
    Task(
        "Put a folder on a tag",
        "`--changes` leaves out what stays as it is.",
        f"{_PLAN} --changes",
        _one_behind,
    ),
    Task("A branch is misspelled", "In one folder of six.", _PLAN, _a_misspelled_branch, 1),
    Task(
        "Find out why a workspace is stale",
        "The service principal was removed from it.",
        f"{_CHECK} --quiet",
        _a_principal_removed,
        1,
    ),
    Task(
        "Give a script what failed",
        "The same, as JSON.",
        f"{_CHECK} --json | jq --raw-output '{_FAILED}'",
        _a_principal_removed,
        1,
    ),
    Task(
        "See which OAuth secrets end soon",
        "With `--apply` it makes new ones, and stores them.",
        f"git-refresh rotate --settings {LIST} --within 200d",
    ),
    Task("An OAuth secret has ended", "In a terminal of 60 columns.", _CHECK, _a_secret_ended, 1, NARROW),
    Task(
        "Look up a code from an alert",
        "Offline; capitals stand for your values.",
        "git-refresh explain secret_expires_soon",
    ),
    Task(
        "Uncommitted edits are in the way",
        "Somebody has edited a file in the workspace.",
        f"{_RUN} --yes",
        _edits,
        1,
    ),
    Task(
        "Discard them knowingly",
        'The folder\'s entry has got `"on_conflict": "discard"`.',
        f"{_RUN} --yes",
        _edits_to_discard,
    ),
    Task(
        "Pull one Git folder at once",
        "Something was merged, and it is for one workspace. No other is asked.",
        f"{_RUN} --only data-2 --folder /Repos/etl/prod --yes",
        _a_merge,
    ),
    Task(
        "The laptop's proxy is dead",
        "`HTTPS_PROXY` names it.",
        f"{_CHECK} --quiet",
        code=1,
        environ=dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9"),
    ),
    Task(
        "Interrupt a run",
        "By Ctrl-C, while one workspace does not answer.",
        f"{_RUN} --yes",
        _one_hangs,
        130,
        keys={"2 of 3": "\x03"},
    ),
)


def sections() -> Iterator[str]:
    """The page, task by task."""
    with Cloud() as cloud, tempfile.TemporaryDirectory() as place:
        desk = Desk(cloud, Path(place))
        for task in TASKS:
            yield task.section(desk)


def page() -> str:
    """All of it."""
    return "\n".join([_INTRO, *sections()])
