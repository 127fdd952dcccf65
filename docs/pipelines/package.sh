#!/bin/sh
# Builds the app's zip file with the packages of requirements.txt. Run it at the top of the checkout.
# It needs Linux and Python 3.13, as in Azure, which does not build the packages again.
set -eu
package=$(mktemp -d)
cp -R function_app.py host.json requirements.txt git_refresh "$package"
rm -R "$package/git_refresh/admin" "$package/git_refresh/cli" "$package/git_refresh/__main__.py"
find "$package" -name __pycache__ -prune -exec rm -R {} +
python3 -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement requirements.txt --target "$package/.python_packages/lib/site-packages"
python3 -c 'import shutil, sys; shutil.make_archive(sys.argv[1].removesuffix(".zip"), "zip", sys.argv[2])' "$1" "$package"
rm -R "$package"
