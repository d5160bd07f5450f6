# shellcheck shell=bash
# The way without a container. Each check sets WHY and fails where something is missing.

MINIMUM_GLIBC=2.39 # the floor of the wheels of ml-metadata and tensorflow-data-validation

# The locked wheels exist for these machines only; a container does not change that.
machine_is_supported() {
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64 | Darwin-arm64) return 0 ;;
    esac
    WHY="TFX has no wheels for $(uname -s) on $(uname -m), only for Linux on x86_64 and macOS on arm64"
    return 1
}

glibc_is_recent() {
    local version
    [ "$(uname -s)" = Linux ] || return 0
    version="$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d ' ' -f 2)" || true
    if [ -z "$version" ]; then
        WHY="this Linux has no glibc (the wheels need $MINIMUM_GLIBC or newer)"
    elif ! version_at_least "$version" "$MINIMUM_GLIBC"; then
        WHY="glibc $version is older than $MINIMUM_GLIBC"
    else
        return 0
    fi
    return 1
}

compiler_is_there() {
    if c++ --version >/dev/null 2>&1; then return; fi
    install_packages g++ && return
    WHY="no C++ compiler: pyfarmhash has no wheel (Debian, Ubuntu: apt install g++; macOS: xcode-select --install)"
    return 1
}

# uv itself comes from PATH or, through any Python 3 with venv, from PyPI.
uv_is_possible() {
    if uv_is_recent uv || uv_is_recent "$STATE/uv/bin/uv"; then return; fi
    if python3 -c 'import ensurepip' >/dev/null 2>&1; then return; fi
    install_packages python3-venv python3-dev && return
    WHY="neither uv $(pinned_uv_version) or newer nor a Python 3 with venv (Debian, Ubuntu: apt install python3-venv python3-dev)"
    return 1
}

set_up_native() {
    glibc_is_recent && uv_is_possible && compiler_is_there || return 1
    "${INSIDE[@]}" && return
    WHY="uv could not install the packages (see above)"
    return 1
}

native_is_ready() { [ -x "$VENV/bin/python" ]; }

native_enter() {
    export PATH="$VENV/bin:$PATH" VIRTUAL_ENV="$VENV" PYTHONPATH="$ROOT"
    export THAW_ENVIRONMENT="$WAY" THAW_ENVIRONMENT_ROOT="$ROOT"
    # Without bytecode every start would compile TFX anew, 20 s; containers do not get it either.
    unset PYTHONHOME PYTHONDONTWRITEBYTECODE
    exec "$@"
}
