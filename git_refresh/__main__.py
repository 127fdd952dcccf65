"""`python -m git_refresh`: the command line, for laptops and pipelines."""

import sys

try:
    from git_refresh.cli.main import main
except ModuleNotFoundError as missing:
    if missing.name not in {"click", "rich"}:
        raise
    sys.exit(
        f"The command line needs {missing.name}, which is not deployed with the app: run it where `make install` was run."
    )

main(prog_name="python -m git_refresh")
