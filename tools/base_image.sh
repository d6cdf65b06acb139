#!/usr/bin/env bash
# Makes a base image out of Debian's packages, for machines that reach no image registry: `make base-image`.
#
# The image holds a minimal Debian of this machine's release, python3 with pip and venv, and this machine's CA bundle,
# without which pip inside a build cannot trust what this machine trusts. It takes about two minutes, once.
#
#   IMAGE=NAME     the name it gets (default pitcrew/base:latest)
#   FORCE=1        make it anew although it is there
set -euo pipefail

IMAGE=${IMAGE:-pitcrew/base:latest}
PACKAGES=python3,python3-pip,python3-venv,ca-certificates
CA_BUNDLE=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
CA_BUNDLE_INSIDE=/etc/ssl/certs/ca-certificates.crt

say() { printf 'base-image: %s\n' "$*"; }
fail() { printf 'base-image: %s\n' "$*" >&2; exit 1; }

require_engine() {
    command -v docker >/dev/null || fail "there is no docker command; on Debian: apt-get install docker.io iptables"
    local answer
    answer=$(docker version --format '{{.Server.Version}}' 2>&1) || fail "no Docker engine answers: ${answer##*$'\n'}"
}

require_debootstrap() {
    [ "$(id -u)" -eq 0 ] || fail "a root file system can only be laid out by root; run 'make base-image' as root"
    # shellcheck source=/dev/null
    [ -r /etc/os-release ] && . /etc/os-release
    SUITE=${VERSION_CODENAME:-}
    case "${ID:-} ${ID_LIKE:-}" in
        *debian*) [ -n "$SUITE" ] || fail "/etc/os-release has no VERSION_CODENAME: which release to build is not known" ;;
        *) fail "this needs Debian or a relative of it, and this machine is '${ID:-unknown}'" ;;
    esac
    command -v debootstrap >/dev/null && return
    say "installing debootstrap from Debian's packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -y -q --no-install-recommends debootstrap
}

# Whatever debootstrap left mounted goes first, and the removal does not cross into another file system.
clean_up() {
    [ -n "${WORK:-}" ] || return 0
    local mounted
    while read -r mounted; do
        umount "$mounted"
    done < <(awk -v root="$WORK/" 'index($2, root) == 1 {print $2}' /proc/mounts | sort -r)
    rm -rf --one-file-system "$WORK"
}

lay_out() {
    say "laying out Debian $SUITE with ${PACKAGES//,/, }"
    debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$WORK/root" >"$WORK/log" 2>&1 || {
        tail -n 20 "$WORK/log" >&2
        fail "debootstrap failed; its last lines are above"
    }
    [ -r "$CA_BUNDLE" ] || fail "this machine's CA bundle is not at $CA_BUNDLE; name it in SSL_CERT_FILE"
    install -m 0644 "$CA_BUNDLE" "$WORK/root$CA_BUNDLE_INSIDE"
}

import_root() {
    say "importing it as $IMAGE"
    tar -C "$WORK/root" --numeric-owner \
        --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' \
        --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/log/*' \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
        -c . |
        docker import --change 'CMD ["python3"]' \
            --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
            - "$IMAGE" >/dev/null
}

require_engine
if [ "${FORCE:-}" != 1 ] && docker image inspect "$IMAGE" >/dev/null 2>&1; then
    say "$IMAGE is there already and is used as it is; FORCE=1 makes it anew"
    exit 0
fi
require_debootstrap
trap clean_up EXIT
WORK=$(mktemp -d "${TMPDIR:-/tmp}/pitcrew-base.XXXXXX")
lay_out
import_root
docker run --rm --network none "$IMAGE" python3 -c 'import ensurepip, sys; print("base-image: inside is Python", sys.version.split()[0])'
say "done in ${SECONDS} s: $IMAGE"
