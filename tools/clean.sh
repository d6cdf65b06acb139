#!/usr/bin/env bash
# Removes what make made in this checkout: `make clean`. Refused while a process runs from it; what people wrote stays.
set -euo pipefail
cd "$(dirname "$0")/.."

MADE=(.venv .venv-llm .pitcrew/state .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis operator/pitcrew.egg-info)

say() { printf 'clean: %s\n' "$*"; }

# A process uses what we made when it works in it, or has a file of it open, mapped, or on its command line.
users() {
    local process
    for process in /proc/[0-9]*; do
        if {
            readlink "$process/cwd" "$process"/fd/*
            cat "$process/maps"
            tr '\0' '\n' <"$process/cmdline"
            true
        } 2>/dev/null | grep -F -e "$PWD/.venv/" -e "$PWD/.venv-llm/" -e "$PWD/.pitcrew/state" -e "$PWD/.demo" >/dev/null; then
            basename "$process"
        fi
    done | paste -sd ' '
}

running=$(users)
if [ -n "$running" ]; then
    say "something still runs from here (process $running); stop it first" >&2
    exit 1
fi
rm -rf "${MADE[@]}"
find operator victim-app chaos tools tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
if [ -d .pitcrew/manifests ]; then
    cmp -s manifests/victim.yaml .pitcrew/manifests/victim.yaml && rm .pitcrew/manifests/victim.yaml
    rmdir --ignore-fail-on-non-empty .pitcrew/manifests
    [ ! -d .pitcrew/manifests ] || say "what you wrote in .pitcrew/manifests stays"
fi
[ ! -d .pitcrew ] || rmdir --ignore-fail-on-non-empty .pitcrew
[ ! -d .chaos ] || say ".chaos stays: it says how to put right what chaos broke ('make chaos-fix')"
say "done; images stay on the engine (docker image rm pitcrew/victim pitcrew/pitcrew pitcrew/base)"
