# Downloads the Bicep CLI of .bicep-version for Linux on x86-64: sh docs/pipelines/bicep.sh FOLDER
# With another version, change the hash.
set -eu
mkdir -p "$1"
curl --fail --silent --show-error --location --retry 3 --output "$1/bicep" "https://github.com/Azure/bicep/releases/download/v$(cat .bicep-version)/bicep-linux-x64"
echo "0ab9de90c2493f206f8281bae74f9ee2d5ed3605548dab1adf41fef185e1f7c5  $1/bicep" | sha256sum --check --quiet
chmod +x "$1/bicep"
