"""A bare repository of Azure DevOps: a real one."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from localcloud import git


class Repository:
    """One repository of one project, with `main` as its default branch."""

    def __init__(self, organization: str, project: str, name: str, directory: Path) -> None:
        self.organization = organization
        self.project = project
        self.name = name
        self.directory = directory
        directory.mkdir(parents=True)
        git.run(directory, "init", "--quiet", "--bare", "--initial-branch=main", "--template=")

    @property
    def url(self) -> str:
        """The clone URL, as Azure DevOps shows it."""
        return (
            f"https://dev.azure.com/{quote(self.organization)}/{quote(self.project)}/_git/{quote(self.name)}"
        )

    def commit(
        self, files: Mapping[str, str | None], *, branch: str = "main", message: str = "Change files"
    ) -> str:
        """Commit these files on a branch and return the commit's id; a file that is None is deleted.

        A branch that does not exist yet starts at the head of `main`.
        """
        heads = self.refs()
        parent = heads.get(f"refs/heads/{branch}", heads.get("refs/heads/main"))
        stream = [f"commit refs/heads/{branch}\nmark :1\n".encode()]
        stream += [b"committer Contoso <data@contoso.com> now\n", _data(message)]
        stream += [f"from {parent[0]}\n".encode()] if parent else []
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
        """Tag a branch's head and return the id of the commit that is tagged; a tag that exists is moved there."""
        options = ["--annotate", "--message", name] if annotated else []
        git.run(self.directory, "tag", "--force", *options, name, f"refs/heads/{branch}")
        return self.head(branch)

    def delete_branch(self, branch: str) -> None:
        git.run(self.directory, "update-ref", "-d", f"refs/heads/{branch}")

    def head(self, branch: str = "main") -> str:
        """The commit id at a branch's head. Raises KeyError if there is no such branch."""
        return self.refs()[f"refs/heads/{branch}"][0]

    def refs(self) -> dict[str, tuple[str, str]]:
        """Every branch and tag: its full name → the object's id, and the commit's under an annotated tag."""
        output = git.run(self.directory, "for-each-ref", "--format=%(objectname) %(*objectname) %(refname)")
        lines = (line.split(" ") for line in output.splitlines())
        return {name: (oid, peeled) for oid, peeled, name in lines}


def _data(text: str) -> bytes:
    content = text.encode()
    return b"data %d\n%s\n" % (len(content), content)
