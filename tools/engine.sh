#!/usr/bin/env bash
# Sees to it that a Docker engine answers, for .ci/run: `tools/engine.sh PIDFILE LOGFILE`.
#
# One that answers is used as it is. Otherwise Debian's packages are installed and dockerd is started; its pid goes to
# PIDFILE, so that whoever called this can stop the engine it got started, and no other.
set -euo pipefail

PIDFILE=${1:?usage: tools/engine.sh PIDFILE LOGFILE}
LOGFILE=${2:?usage: tools/engine.sh PIDFILE LOGFILE}
WAIT_S=60

say() { printf 'engine: %s\n' "$*"; }
fail() { printf 'engine: %s\n' "$*" >&2; exit 1; }
answers() { command -v docker >/dev/null && timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

install_packages() {
    local wanted=()
    command -v dockerd >/dev/null || wanted+=(docker.io)
    command -v iptables >/dev/null || wanted+=(iptables)
    # Later releases of Debian have the client in a package of its own.
    command -v docker >/dev/null || ! apt-cache show docker-cli >/dev/null 2>&1 || wanted+=(docker-cli)
    [ "${#wanted[@]}" -gt 0 ] || return 0
    say "installing ${wanted[*]} from Debian's packages"
    apt-get install -y -q --no-install-recommends "${wanted[@]}"
}

wait_for_answer() {
    local deadline=$((SECONDS + WAIT_S))
    until answers; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        [ -z "${1:-}" ] || kill -0 "$1" 2>/dev/null || return 1
        sleep 0.5
    done
}

if answers; then
    say "one answers already and is used as it is ($(docker version --format '{{.Server.Version}}'))"
    exit 0
fi
[ -z "${DOCKER_HOST:-}" ] || fail "DOCKER_HOST names an engine that does not answer; unset it, or start that engine"
if pgrep -x dockerd >/dev/null; then
    say "a dockerd is running that does not answer yet; waiting up to $WAIT_S s"
    wait_for_answer || fail "it did not answer; this script does not touch an engine it did not start"
    say "it answers now and is used as it is"
    exit 0
fi
[ "$(id -u)" -eq 0 ] || fail "no engine answers, and only root can install and start one"
install_packages
if ! answers; then
    if pgrep -x dockerd >/dev/null; then
        say "the package started dockerd as a service of this machine"
        wait_for_answer || fail "that dockerd did not answer within $WAIT_S s"
    else
        say "starting dockerd (its log: $LOGFILE)"
        setsid dockerd >"$LOGFILE" 2>&1 </dev/null &
        echo "$!" >"$PIDFILE"
        wait_for_answer "$!" || { tail -n 20 "$LOGFILE" >&2; fail "dockerd did not come up; the end of its log is above"; }
    fi
fi
say "Docker $(docker version --format '{{.Server.Version}}') answers"
