"""A bare Git repository of Azure DevOps.

Simple data is read and written as files, because a git process is the slowest part of preparing a test.
Facts: https://git-scm.com/docs/gitrepository-layout
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from localcloud import git


class Repository:
    """A repository of a project, with `main` as its default branch.

    `disabled`: Azure DevOps reports that it does not exist.
    """

    def __init__(self, organization: str, project: str, name: str, directory: Path) -> None:
        self.organization = organization
        self.project = project
        self.name = name
        self.directory = directory
        self.disabled = False
        self._checkouts: dict[tuple[str, str], Path] = {}
        for place in ("objects", "refs/heads", "refs/tags"):
            (directory / place).mkdir(parents=True)
        (directory / "HEAD").write_text("ref: refs/heads/main\n")
        (directory / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")

    @property
    def url(self) -> str:
        """The clone URL, as Azure DevOps shows it."""
        return (
            f"https://dev.azure.com/{quote(self.organization)}/{quote(self.project)}/_git/{quote(self.name)}"
        )

    def commit(
        self, files: Mapping[str, str | None], *, branch: str = "main", message: str = "Change files"
    ) -> str:
        """Commit files on a branch and return the commit's ID; None as content deletes a file.

        A new branch starts at the head of `main`.
        """
        return self._import(files, branch, self._head(branch) or self._head("main"), message)

    def rewrite(
        self, files: Mapping[str, str | None], *, branch: str = "main", unrelated: bool = False
    ) -> str:
        """Replace a branch's latest commit or all of its history, like a force push; return the new ID."""
        parent = None if unrelated else git.run(self.directory, "rev-parse", f"{self.head(branch)}^")
        return self._import(files, branch, parent, "Rewrite history")

    def _import(self, files: Mapping[str, str | None], branch: str, parent: str | None, message: str) -> str:
        reset = f"reset refs/heads/{branch}\n" if not parent else ""
        stream = [f"{reset}commit refs/heads/{branch}\nmark :1\n".encode()]
        stream += [b"committer Contoso <data@contoso.com> now\n", _data(message)]
        stream += [f"from {parent}\n".encode()] if parent else []
        for path, content in files.items():
            if content is None:
                stream.append(f"D {path}\n".encode())
            else:
                stream += [f"M 100644 inline {path}\n".encode(), _data(content)]
        stream.append(b"get-mark :1\n")
        return git.run(
            self.directory, "fast-import", "--quiet", "--force", "--date-format=now", stdin=b"".join(stream)
        )

    def tag(self, name: str, *, branch: str = "main", annotated: bool = False) -> str:
        """Tag a branch's head, or move the tag there, and return the commit's ID."""
        options = ["--annotate", "--message", name] if annotated else []
        git.run(self.directory, "tag", "--force", *options, name, f"refs/heads/{branch}")
        return self.head(branch)

    def delete_branch(self, branch: str) -> None:
        git.run(self.directory, "update-ref", "-d", f"refs/heads/{branch}")

    def head(self, branch: str = "main") -> str:
        """Return the ID of a branch's latest commit. Raises KeyError for an unknown branch."""
        if head := self._head(branch):
            return head
        raise KeyError(branch)

    def has_commit(self, commit: str) -> bool:
        try:
            return git.run(self.directory, "cat-file", "-t", commit) == "commit"
        except git.GitError:
            return False

    def merge_base(self, base: str, target: str) -> str | None:
        """Return the merge base of two commits, or None for unrelated histories."""
        try:
            return git.run(self.directory, "merge-base", base, target)
        except git.GitError:
            return None

    def checkout(self, branch: str) -> Path:
        """Return a clone at a branch's head, as a source for copies.

        Raises KeyError for an unknown branch. The clone of a repository without commits is empty.
        """
        empty = not self.refs()
        key = (branch, "" if empty else self.head(branch))
        if key not in self._checkouts:
            place = self.directory.with_suffix(f".{len(self._checkouts)}")
            local = f"url.{self.directory}.insteadOf={self.url}"
            options = ("--quiet", "--template=", *(() if empty else ("--branch", branch)))
            git.run(self.directory, "-c", local, "clone", *options, self.url, str(place))
            self._checkouts[key] = place
        return self._checkouts[key]

    def _head(self, branch: str) -> str | None:
        # Refs are never packed here: each is a file.
        file = self.directory / "refs/heads" / branch
        return file.read_text().strip() if file.is_file() else None

    def refs(self) -> dict[str, tuple[str, str]]:
        """Return each branch and tag: the full name → object ID, and the commit's under an annotated tag."""
        place = self.directory / "refs/heads"
        files = sorted(file for file in place.rglob("*") if file.is_file() and file.suffix != ".lock")
        heads = [file.relative_to(place).as_posix() for file in files]
        refs = {f"refs/heads/{branch}": (self.head(branch), "") for branch in heads}
        if any((self.directory / "refs/tags").iterdir()):
            form = "--format=%(objectname) %(*objectname) %(refname)"
            lines = git.run(self.directory, "for-each-ref", form, "refs/tags").splitlines()
            refs |= {name: (oid, peeled) for oid, peeled, name in (line.split(" ") for line in lines)}
        return refs


def _data(text: str) -> bytes:
    content = text.encode()
    return b"data %d\n%s\n" % (len(content), content)
