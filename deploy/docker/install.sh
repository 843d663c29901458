#!/bin/sh
# The build step of the image: a virtual environment with the product and everything of `[all]`, by hash.
# Usage: install.sh FOLDER. Runs in the image and, for the tests, on any machine with Python.
set -eu
target="$1"
python3 -m venv "$target"
awk '/^uv==/{p=1} p&&/^[a-z]/&&!/^uv==/{exit} p' requirements.lock | grep -v '# via' > "$target/uv.lock.txt"
"$target/bin/pip" install --quiet --require-hashes -r "$target/uv.lock.txt"
# Compiled here: the image is read-only, so each start would compile everything again.
"$target/bin/uv" pip install --quiet --compile-bytecode --python "$target/bin/python" --constraint requirements.lock \
  --build-constraints requirements.lock --no-editable ".[all]"
"$target/bin/uv" pip uninstall --quiet --python "$target/bin/python" pip setuptools
rm -f "$target/bin/uv" "$target/bin/uvx" "$target/uv.lock.txt"
