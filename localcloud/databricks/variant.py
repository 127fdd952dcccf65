"""How a workspace answers where workspaces differ, or where nobody has recorded what Databricks answers.

Facts on Git folders with Git CLI access: https://github.com/databricks/cli/pull/6181 and https://github.com/databricks/cli/pull/6303
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from localcloud.answers import ApiError


@dataclass(slots=True)
class Variant:
    """What a workspace can be asked for. The first value of each is what it does unless told otherwise.

    Attributes:
        git_folders: the kind of new Git folders; `mixed` makes every second one a legacy one.
        below_repos: the kind of those below `/Repos`. Unrecorded: that they are of another kind.
        directory_info: when an answer has `directory_info.is_git_folder`; a listing never takes `return_git_info`.
        not_found: what a 404 of the Workspace and Repos APIs has: an `error_code`, a message alone, or no body.
        detached_branch: `branch` on a detached head. Unrecorded.
        head_after_update: `stale` lets the first read after an update show the commit before it. Unrecorded.
        permissions_at: where the permissions of a Git folder with Git CLI access are. Unrecorded.
        permissions_elsewhere: the status of the other place. Unrecorded.
        diverged: what a pull does where the folder's branch and the remote's have diverged. Unrecorded.
        failed_create: what a create that fails leaves behind.
        broken_folder: what the Repos API answers for a folder without a repository behind. Unrecorded.
        workspace_prefix: whether an answer keeps the `/Workspace` that the request's path began with.
        duplicate_principal: the status for a service principal that exists. Unrecorded.
    """

    git_folders: Literal["git-cli", "legacy", "mixed"] = "git-cli"
    below_repos: Literal["alike", "legacy"] = "alike"
    directory_info: Literal["with-git-info", "always", "absent"] = "with-git-info"
    not_found: Literal["code", "message", "empty"] = "code"
    detached_branch: Literal["absent", "empty", "HEAD"] = "absent"
    head_after_update: Literal["new", "stale"] = "new"
    permissions_at: Literal["repos", "directories"] = "repos"
    permissions_elsewhere: Literal["404", "400"] = "404"
    diverged: Literal["refused", "merged", "kept"] = "refused"
    failed_create: Literal["broken", "nothing"] = "broken"
    broken_folder: Literal["404", "400"] = "404"
    workspace_prefix: Literal["dropped", "kept"] = "dropped"
    duplicate_principal: Literal["409", "400"] = "409"

    def set(self, text: str) -> None:
        """Take `name=value`.

        Raises:
            ValueError: there is no such name or value; says which there are.
        """
        name, _, value = text.partition("=")
        known = values()
        if name not in known:
            raise ValueError(f"{name!r} is not a variant; write one of {', '.join(known)}.")
        if value not in known[name]:
            raise ValueError(f"{name} must be {' or '.join(known[name])}, not {value!r}.")
        setattr(self, name, value)

    def no_such(self, message: str) -> ApiError:
        """The 404 for what is not there."""
        body = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}
        return ApiError(404, {"code": body, "message": {"message": message}, "empty": None}[self.not_found])


def values() -> dict[str, tuple[Any, ...]]:
    """The names of all variants, each with its values; the first is the default."""
    return {name: get_args(hint) for name, hint in get_type_hints(Variant).items()}
