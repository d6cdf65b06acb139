#!/usr/bin/env bash
# Builds images on a base that can be had here: `make images`, or `tools/images.sh NAME...` with some of
# victim, pitcrew and socket-proxy; each becomes pitcrew/NAME:latest. Without a name it builds victim and pitcrew.
#
# The base is, in this order: BASE_IMAGE where it is set; python:3.12-slim or pitcrew/base:latest where one is on this
# engine; python:3.12-slim from a registry, within 20 s. Where none can be had it says so and builds nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

SLIM=python:3.12-slim
OWN=pitcrew/base:latest
PULL_TIMEOUT_S=20

say() { printf 'images: %s\n' "$*"; }
fail() { printf 'images: %s\n' "$*" >&2; exit 1; }
present() { docker image inspect "$1" >/dev/null 2>&1; }

choose_base() {
    if [ -n "${BASE_IMAGE:-}" ]; then BASE=$BASE_IMAGE WHY="BASE_IMAGE names it"; return; fi
    local base
    for base in "$SLIM" "$OWN"; do
        if present "$base"; then BASE=$base WHY="it is on this engine"; return; fi
    done
    say "no base image is on this engine; asking a registry for $SLIM"
    if timeout "$PULL_TIMEOUT_S" docker pull -q "$SLIM" >/dev/null 2>&1; then BASE=$SLIM WHY="a registry had it"; return; fi
    fail "$SLIM cannot be had from a registry here; 'make base-image' (as root) makes a base from Debian's packages instead"
}

build() {
    local image=pitcrew/$1:latest
    say "building $image on $BASE ($WHY)"
    # The host's network, so that pip inside reaches what this machine reaches.
    case $1 in
        victim) docker build --network host --build-arg "BASE_IMAGE=$BASE" --tag "$image" victim-app ;;
        socket-proxy) docker build --network host --build-arg "BASE_IMAGE=$BASE" --tag "$image" manifests/socket-proxy ;;
        pitcrew) docker build --network host --build-arg "BASE_IMAGE=$BASE" --tag "$image" --file operator/Dockerfile . ;;
    esac
    say "built $image"
}

[ "$#" -gt 0 ] || set -- victim pitcrew
for name; do
    case $name in
        victim | pitcrew | socket-proxy) ;;
        *) fail "there is no image '$name' here; there are victim, pitcrew and socket-proxy" ;;
    esac
done
command -v docker >/dev/null || fail "there is no docker command; on Debian: apt-get install docker.io iptables"
answer=$(docker version --format '{{.Server.Version}}' 2>&1) || fail "no Docker engine answers: ${answer##*$'\n'}"
choose_base
for name; do build "$name"; done
