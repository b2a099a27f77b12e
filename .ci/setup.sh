#!/usr/bin/env bash
# Set up the virtual environment: name what is missing first, install what the locks hold, do nothing when up to date.
set -euo pipefail
venv=${1:-.venv}
stamp="$venv/installed.sha256"
locks=(.ci/pip.lock requirements.lock requirements-test.lock requirements-cuda.lock)
wanted=$(cat "${locks[@]}" pyproject.toml | sha256sum | cut -d' ' -f1)

if [[ -x "$venv/bin/python" && "$(cat "$stamp" 2>/dev/null || true)" == "$wanted" ]]; then
    exit 0
fi

missing=0
complain() { echo "make setup: $*" >&2; missing=1; }

python=""
for candidate in python3.11 python3 python; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        python=$candidate
        break
    fi
done
if [[ -z "$python" ]]; then
    complain "Python 3.11 is missing; on Debian 12: apt-get install python3 python3-venv"
elif ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    complain "Python's venv module is missing; on Debian 12: apt-get install python3-venv"
fi
command -v git >/dev/null || complain "git is missing; on Debian 12: apt-get install git"
free_kb=$(df -Pk . | awk 'NR == 2 {print $4}')
((free_kb > 5000000)) || complain "5 GB of free disk are needed for the packages, $((free_kb / 1000)) MB are free here"
((missing == 0)) || exit 1

echo "make setup: installing the packages of requirements.lock and requirements-test.lock into $venv"
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then  # absent, or left half made
    "$python" -m venv --clear "$venv"
fi
install=("$venv/bin/python" -m pip install --disable-pip-version-check)
"${install[@]}" --quiet --require-hashes --requirement .ci/pip.lock
# Which build of torch is meant for this machine, pip knows while it does not look at digests: with them it prefers a file
# whose digest the index names to a CPU build in a folder, and brings gigabytes of CUDA.
torch=$(grep -o '^torch==[^ ]*' requirements.lock)
"${install[@]}" --dry-run --ignore-installed --no-deps "$torch" | sed -n 's/^Would install torch-/torch==/p' > "$venv/torch.txt"
# As a constraint the CUDA lock installs nothing unless that build asks for it.
"${install[@]}" --require-hashes --requirement requirements.lock --requirement requirements-test.lock \
    --constraint "$venv/torch.txt" --constraint requirements-cuda.lock
"${install[@]}" --quiet --no-deps --no-build-isolation --editable .
echo "$wanted" > "$stamp"
echo "make setup: done"
