#!/bin/sh
# Makes a virtual environment with the project and all tested versions in it.
# usage: [PYTHON=python3.12] tools/setup_env.sh .venv
set -eu
venv=$1
fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

# A name on the PATH may be a shim with nothing behind it: only running it tells.
python=
for candidate in ${PYTHON:-python3.12 python3.11 python3.13 python3}; do
    if "$candidate" -c "$fits" >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "setup: no Python 3.11, 3.12 or 3.13 found (tried ${PYTHON:-python3.12 python3.11 python3.13 python3}); install one (apt-get install python3 python3-venv) or set PYTHON" >&2
    exit 2
fi
if [ ! -x "$venv/bin/pip" ]; then
    rm -rf "$venv"
    if ! "$python" -m venv "$venv"; then
        rm -rf "$venv"
        echo "setup: $python cannot make virtual environments; install them with: apt-get install python3-venv" >&2
        exit 2
    fi
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
# OpenCV's windows need two libraries that a bare server lacks; say so now rather than in a traceback.
if ! "$venv/bin/python" -c 'import cv2' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "setup: installing libgl1 and libglib2.0-0 for OpenCV" >&2
        apt-get update -qq && apt-get install -qq -y libgl1 libglib2.0-0 >/dev/null
    fi
    if ! "$venv/bin/python" -c 'import cv2'; then
        echo "setup: OpenCV cannot be loaded; install its libraries with: sudo apt-get install libgl1 libglib2.0-0" >&2
        exit 2
    fi
fi
