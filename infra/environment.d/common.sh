# shellcheck shell=bash
# Small helpers: messages, checksums, versions, the lock.

say() { printf 'thaw: %s\n' "$*" >&2; }

wrong_use() {
    say "$1; see infra/environment help"
    exit 64
}

# Ends set-up with a message; 69 is EX_UNAVAILABLE of sysexits.h.
give_up() {
    say "$@"
    exit 69
}

has() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

sha256() {
    if has sha256sum; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

# version_at_least 2.41 2.39: compares dotted numbers, as many as the second has.
version_at_least() {
    awk -v have="$1" -v need="$2" 'BEGIN {
        split(have, h, "."); n = split(need, w, ".")
        for (i = 1; i <= n; i++) if (h[i] + 0 != w[i] + 0) exit !(h[i] + 0 > w[i] + 0)
        exit 0
    }'
}

# logged STEP CMD…: runs a noisy command with its output in the log; shows the end of it on failure.
logged() {
    local step="$1" log="$STATE/setup.log" status=0
    shift
    mkdir -p "$STATE"
    printf '\n== %s: %s\n' "$step" "$*" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null || status=$?
    if [ $status -ne 0 ]; then
        say "$step failed (status $status); the last lines of $log:"
        tail -n 12 "$log" | sed 's/^/    /' >&2
    fi
    return $status
}

# with_lock DESCRIPTOR FILE CMD…: only one at a time. The lock goes with the last process that holds
# the file open, so a killed set-up leaves none behind, and its orphaned children are waited for.
with_lock() {
    local descriptor="$1" file="$2" status=0
    shift 2
    mkdir -p "$(dirname "$file")"
    eval "exec $descriptor>>\"\$file\""
    take_lock "$descriptor" nowait || {
        say "waiting for another set-up to end ($file)"
        take_lock "$descriptor" wait || give_up "cannot lock $file"
    }
    "$@" || status=$?
    eval "exec $descriptor>&-"
    return $status
}

take_lock() {
    if has flock; then
        case "$2" in nowait) flock -n "$1" ;; wait) flock "$1" ;; esac
    else # macOS: the lock belongs to the open file, which this shell keeps after perl has ended
        perl -e 'open(my $f, ">>&=", $ARGV[0]) or exit 1; exit !flock($f, $ARGV[1] eq "wait" ? 2 : 6)' "$@"
    fi
}

# install_packages NAME…: with apt, where that is possible.
install_packages() {
    is_root && has apt-get || return 1
    say "installing with apt: $*"
    logged "apt-get update" apt-get update -qq &&
        logged "apt-get install" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$@"
}
