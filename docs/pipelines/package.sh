#!/bin/sh
# Creates the zip file to publish, with the packages of requirements.txt and without the files in .funcignore. Run it in the top folder,
# on Linux with Python 3.13, because Azure does not build the packages.
set -eu
package=$(mktemp -d)
cp -R function_app.py host.json requirements.txt git_refresh "$package"
rm -R "$package/git_refresh/admin" "$package/git_refresh/cli" "$package/git_refresh/__main__.py"
find "$package" -name __pycache__ -prune -exec rm -R {} +
python3 -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement requirements.txt --target "$package/.python_packages/lib/site-packages"
python3 -c 'import shutil, sys; shutil.make_archive(sys.argv[1].removesuffix(".zip"), "zip", sys.argv[2])' "$1" "$package"
rm -R "$package"
