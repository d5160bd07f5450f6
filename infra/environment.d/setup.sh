# shellcheck shell=bash
# Chooses the way, sets it up, remembers it in the stamp of .venv.

WAYS="native docker podman buildah"

prepare() {
    if is_ready; then return; fi
    with_lock 9 "$STATE/lock" prepare_locked
}

# True where the stamp is that of the present lock file and image, and its way still works.
is_ready() {
    local digest way forced="${THAW_ENVIRONMENT_WAY:-}"
    read -r digest way _ 2>/dev/null <"$STAMP" || return 1
    [ "$digest" = "$(fingerprint)" ] || return 1
    [ -z "$forced" ] || [ "$forced" = "$way" ] || return 1
    WAY="$way"
    way_is_ready
}

way_is_ready() {
    case "$WAY" in
        native) native_is_ready ;;
        docker | podman) engine_is_ready ;;
        buildah) chroot_is_ready ;;
        *) return 1 ;;
    esac
}

prepare_locked() {
    if is_ready; then return; fi # another set-up has just done it
    machine_is_supported || give_up "cannot set up the environment: $WHY"
    check_forced_way
    set_up_first_way_that_works
}

check_forced_way() {
    case " $WAYS " in
        *" ${THAW_ENVIRONMENT_WAY:-native} "*) ;;
        *) wrong_use "THAW_ENVIRONMENT_WAY=$THAW_ENVIRONMENT_WAY is none of: $WAYS" ;;
    esac
}

set_up_first_way_that_works() {
    local reasons=""
    for WAY in ${THAW_ENVIRONMENT_WAY:-$WAYS}; do
        WHY="failed (see above)"
        if set_up_way; then return; fi
        [ "$WAY" != native ] || printf '%s\n' "$WHY" >"$STATE/why-not-native"
        reasons="$reasons$(printf '\n  %-8s %s' "$WAY" "$WHY")"
    done
    give_up "cannot set up the environment on this machine:$reasons
Any one of these mends it:
  - a Linux with glibc $MINIMUM_GLIBC or newer (Debian 13, Ubuntu 24.04), or macOS on arm64
  - a docker or podman that can run containers for this user
  - root on Debian or Ubuntu with apt: buildah is then installed and used, with no engine"
}

set_up_way() {
    case "$WAY" in
        native) set_up_native ;;
        docker | podman) set_up_engine ;;
        buildah) set_up_chroot ;;
    esac
}

enter() {
    case "$WAY" in
        native) native_enter "$@" ;;
        docker | podman) engine_enter "$@" ;;
        buildah) chroot_enter "$@" ;;
    esac
}

describe() {
    local python why
    python="$(cut -d ' ' -f 3 "$STAMP")"
    why="$(cat "$STATE/why-not-native" 2>/dev/null)" || true
    if [ "$WAY" = native ]; then
        say "environment: native, Python $python in $VENV"
    else
        say "environment: Debian 13 container by $WAY${why:+ ($why)}, Python $python in $VENV"
    fi
}

remove_environment() {
    local engine
    if has buildah && is_root; then
        buildah rm "$(image_container)" >/dev/null 2>&1 || true
    fi
    rm -rf "$VENV" "$STATE"
    for engine in docker podman; do
        if has $engine; then $engine image rm "$OS_IMAGE" >/dev/null 2>&1 || true; fi
    done
    if has buildah && is_root; then
        buildah rm "$CHROOT_NAME" >/dev/null 2>&1 || true
        buildah rmi "$OS_IMAGE" >/dev/null 2>&1 || true
    fi
}
