# shellcheck shell=bash
# uv, and the .venv it makes from uv.lock. Runs on the machine itself or inside a container.

UV_REQUIREMENTS="$ROOT/infra/uv-requirements.txt"

pinned_uv_version() { sed -n 's/^uv==\([0-9.]*\).*/\1/p' "$UV_REQUIREMENTS"; }

# What .venv depends on; a change of any of it makes set-up run again. Its scripts name its place.
fingerprint() {
    { echo "$ROOT" && cat "$ROOT"/{uv.lock,pyproject.toml,infra/Containerfile,infra/uv-requirements.txt}; } | sha256
}

uv_is_recent() {
    local version
    version="$("$1" --version 2>/dev/null | cut -d ' ' -f 2)" && [ -n "$version" ] &&
        version_at_least "$version" "$(pinned_uv_version)"
}

# Sets UV to a uv that is recent enough: from PATH, else from PyPI by hash into .thaw/uv.
find_or_install_uv() {
    UV="$(command -v uv || true)"
    if [ -n "$UV" ] && uv_is_recent "$UV"; then return; fi
    UV="$STATE/uv/bin/uv"
    if uv_is_recent "$UV"; then return; fi
    rm -rf "$STATE/uv"
    say "installing uv $(pinned_uv_version) into $STATE/uv"
    logged "python3 -m venv" python3 -m venv "$STATE/uv" &&
        logged "pip install uv" "$STATE/uv/bin/python" -m pip install --quiet --require-hashes \
            --no-deps --only-binary :all: -r "$UV_REQUIREMENTS"
}

# Prints the Python to use: one that is there with its headers (pyfarmhash is compiled), else a
# version for uv to fetch.
choose_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3; do
        if has "$candidate" && python_is_usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo 3.13
}

python_is_usable() {
    "$1" - >/dev/null 2>&1 <<'PYTHON'
import pathlib, sys, sysconfig
headers = pathlib.Path(sysconfig.get_path("include"), "Python.h")
sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 13) and headers.is_file()))
PYTHON
}

# Whether uv can bring .venv up to date: it was whole once (has a stamp), was made this way and has
# not been moved. uv does not mend a killed install: a package counts as installed once its metadata
# are there, with half of its files missing.
venv_can_be_updated() {
    local way
    read -r _ way _ 2>/dev/null <"$STAMP" && [ "$way" = "$WAY" ] &&
        "$VENV/bin/python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null &&
        grep -qF "$VENV" "$VENV/bin/activate" 2>/dev/null
}

# Makes .venv what uv.lock says. WAY is the way that it is made for.
sync_venv() {
    find_or_install_uv && lock_is_current || return 1
    if [ -e "$VENV" ] && ! venv_can_be_updated; then
        say "removing $VENV: half-made, moved, or made another way"
        rm -rf "$VENV"
    fi
    rm -f "$STAMP"
    say "installing the packages of uv.lock into $VENV (the first time takes some minutes)"
    run_uv_sync && write_stamp
}

# Before anything is touched: .venv stays usable for the commit that it was made for.
lock_is_current() {
    mkdir -p "$STATE"
    "$UV" lock --check --project "$ROOT" --python "$(choose_python)" >>"$STATE/setup.log" 2>&1 </dev/null && return
    say "uv.lock does not go with pyproject.toml: \`make lock\` brings it up to date"
    return 1
}

# lock_packages [ARGUMENT…]: makes uv.lock what pyproject.toml says.
lock_packages() {
    find_or_install_uv || return 1
    unset VIRTUAL_ENV PYTHONPATH PYTHONHOME
    "$UV" lock "$@" --project "$ROOT" --python "$(choose_python)"
}

# Bytecode is left to be written at first import: compiling all of it here takes 45 s, to save 17 s once.
run_uv_sync() {
    local arguments
    arguments=(sync --locked --project "$ROOT" --python "$(choose_python)")
    export UV_PROJECT_ENVIRONMENT="$VENV"
    unset VIRTUAL_ENV PYTHONPATH PYTHONHOME
    hard_links_work || export UV_LINK_MODE=copy
    if [ -t 2 ]; then "$UV" "${arguments[@]}"; else logged "uv sync" "$UV" "${arguments[@]}"; fi
}

# Hard links from uv's cache save time and disk, but do not cross mounts, even of one disk.
hard_links_work() {
    local cache probe status=0
    cache="$("$UV" cache dir)" && mkdir -p "$cache" "$STATE" || return 1
    probe="$cache/.thaw-link-$$"
    : >"$probe" && ln "$probe" "$STATE/link-$$" 2>/dev/null || status=1
    rm -f "$probe" "$STATE/link-$$"
    return $status
}

# Written last and at once, so that a stamp means a whole .venv.
write_stamp() {
    local version
    version="$("$VENV/bin/python" -c 'import platform; print(platform.python_version())')"
    printf '%s %s %s\n' "$(fingerprint)" "$WAY" "$version" >"$STAMP.new"
    mv -f "$STAMP.new" "$STAMP"
}
