"""Git's smart HTTP protocol, served by `git http-backend`.

Facts: https://git-scm.com/docs/git-http-backend
"""

from aiohttp import web

from localcloud import git
from localcloud.devops.repository import Repository

NOT_CACHED = {"Cache-Control": "no-cache, max-age=0, must-revalidate"}


async def serve(request: web.Request, repository: Repository, path: str) -> web.Response:
    """Pass a request for `/info/refs`, `/git-upload-pack` or `/git-receive-pack` to git.

    The caller of this function checks the permission to push. aiohttp has already decompressed a body in
    gzip, so git does not see that header.
    """
    body = await request.read()
    environment = {
        "GIT_PROJECT_ROOT": str(repository.directory),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "PATH_INFO": path,
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": request.query_string,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_USER": "contoso",  # git accepts no push without a user
    }
    command = ("-c", "receive.autogc=false", "http-backend")
    done = await git.start(repository.directory, *command, environment=environment, stdin=body)
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if line)
    status = int(headers.pop("Status", "200").split()[0])
    return web.Response(status=status, body=content, headers=headers | NOT_CACHED)
