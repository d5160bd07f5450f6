# shellcheck shell=bash
# The way without an engine: buildah builds the image (chroot isolation) and mounts a container of
# it; commands enter it by chroot in a mount namespace of their own. `buildah run` would do the
# same, but writes "exit status 3" under the output of a command that fails.

CHROOT_NAME="thaw-os-$(image_digest)"

set_up_chroot() {
    buildah_is_there || return 1
    if has nvidia-smi; then
        say "warning: this way does not pass GPUs on; docker or podman with NVIDIA's container toolkit does"
    fi
    with_lock 8 "$CACHE/lock" ensure_chroot || return 1
    sync_in_container
}

buildah_is_there() {
    if [ "$(uname -s)" != Linux ]; then
        WHY="needs Linux"
    elif ! is_root; then
        WHY="needs root to enter a container without an engine"
    elif ! has buildah && ! install_packages buildah; then
        WHY="not found, and apt could not install it"
    elif ! unshare --mount true 2>/dev/null; then
        WHY="this machine forbids mount namespaces (unshare --mount)"
    else
        return 0
    fi
    return 1
}

ensure_chroot() {
    if chroot_is_ready; then return; fi
    image_exists buildah "$OS_IMAGE" || build_image buildah os "$OS_IMAGE" || return 1
    buildah rm "$CHROOT_NAME" >/dev/null 2>&1 || true
    logged "buildah from" buildah from --name "$CHROOT_NAME" "$OS_IMAGE" || return 1
    chroot_is_ready || { WHY="buildah cannot mount the container $CHROOT_NAME"; return 1; }
}

# Sets CHROOT to the container's root folder, mounted.
chroot_is_ready() {
    has buildah && is_root || return 1
    CHROOT="$(buildah mount "$CHROOT_NAME" 2>/dev/null)" && [ -x "$CHROOT/usr/bin/python3" ]
}

# chroot_enter CMD…: replaces this process, so that signals, the terminal and the exit status of
# CMD are the caller's own.
chroot_enter() {
    local name passed_on=()
    collect_mounts
    collect_variables
    for name in ${PASSED_ON[@]+"${PASSED_ON[@]}"}; do passed_on+=("$name=${!name}"); done
    exec env -i ${passed_on[@]+"${passed_on[@]}"} "${VARIABLES[@]}" \
        /usr/bin/unshare --mount --propagation private \
        /bin/bash "$ROOT/infra/environment.d/enter_chroot" \
        "$CHROOT" "$(host_ca_bundle)" "$FOLDER" "${#MOUNTS[@]}" "${MOUNTS[@]}" "$@"
}
