# shellcheck shell=bash
# The built image as a folder, for tests that run its commands in it. buildah mounts a working container of it in a mount
# namespace of the run's own: with the run, however it ends, the mount is gone. The container stays, holds nothing, and
# is removed once the code is another.

IMAGE_LABEL=thaw.inputs
IMAGE_INPUTS=(.dockerignore components examples infra/Containerfile infra/assert_own_names.py infra/cut_packages
    infra/install_packages infra/thaw-entrypoint infra/uv-requirements.txt pipeline pyproject.toml trainer uv.lock)
IMAGE_LOCK="$CACHE/image.lock"

# Of all that the build sees: an image with this label is of this code.
inputs_digest() {
    local file
    (
        cd "$ROOT"
        find "${IMAGE_INPUTS[@]}" -type f -not -path '*/__pycache__/*' -not -path 'examples/digits/photographs/*' -print0 |
            LC_ALL=C sort -z | while IFS= read -r -d '' file; do echo "$file" && cat "$file"; done | sha256
    )
}

# image_is_built ENGINE TARGET: whether the image is there, and of this code.
image_is_built() {
    local tag="$DEPLOYED_IMAGE:$2" label
    case "$1" in
        buildah) label="$(buildah inspect --type image --format "{{index .OCIv1.Config.Labels \"$IMAGE_LABEL\"}}" "$tag")" ;;
        *) label="$("$1" image inspect --format "{{index .Config.Labels \"$IMAGE_LABEL\"}}" "$tag")" ;;
    esac 2>/dev/null
    [ "$label" = "$(inputs_digest)" ]
}

# run_with_image CMD…: as `run`, in a mount namespace with the image in it; without, if there is none, and says why.
run_with_image() {
    local container
    [ -z "${THAW_IMAGE_ROOT:-}" ] || enter "$@"
    if image_can_be_entered; then
        mkdir -p "$CACHE"
        exec 7>>"$IMAGE_LOCK"
        flock --shared 7 # held as long as anything of the run lives
        container="$(image_container)"
        if container_is_there "$container" || with_lock 8 "$CACHE/lock" ensure_image_container "$container"; then
            exec unshare --mount --propagation private "$BASH" "$ROOT/infra/environment" attach "$container" "$@"
        fi
    fi
    export THAW_IMAGE_MISSING="$WHY"
    enter "$@"
}

image_container() { echo "thaw-image-$(inputs_digest | cut -c 1-12)"; }

image_can_be_entered() {
    if [ "$(uname -s)" != Linux ] || ! is_root; then
        WHY="only root on Linux can enter an image's file system"
    elif [ "$WAY" != native ] && [ "$WAY" != buildah ]; then
        WHY="the environment is a container of $WAY, from which no image can be entered"
    elif ! has buildah || ! has flock; then
        WHY="only images that buildah has built are entered"
    elif ! unshare --mount true 2>/dev/null; then
        WHY="this machine forbids mount namespaces (unshare --mount)"
    else
        return 0
    fi
    return 1
}

container_is_there() { buildah inspect --type container "$1" >/dev/null 2>&1; }

ensure_image_container() {
    if ! container_is_there "$1"; then
        image_is_built buildah cpu || { WHY="no image of this code: make test-image"; return 1; }
        remove_stale_image_containers
        logged "buildah from" buildah from --name "$1" "$DEPLOYED_IMAGE:cpu" || { WHY="buildah from failed"; return 1; }
    fi
}

# Not while any run uses one: each holds the lock, and ours may be one of them.
remove_stale_image_containers() {
    flock --nonblock 7 || return 0
    buildah containers --format '{{.ContainerName}}' | grep '^thaw-image-' | xargs -r buildah rm >/dev/null 2>&1 || true
    flock --shared 7
}

# remove_earlier_image TARGET ID: what the newly built one has replaced; else gigabytes stay after each change of uv.lock.
remove_earlier_image() {
    [ -n "$2" ] && has flock && [ "$(buildah images --quiet "$DEPLOYED_IMAGE:$1")" != "$2" ] || return 0
    exec 7>>"$IMAGE_LOCK"
    remove_stale_image_containers
    exec 7>&-
    buildah rmi "$2" >/dev/null 2>&1 || true
}

# attach_image CONTAINER CMD…: in a mount namespace of its own, mounts the image for reading alone, and enters.
attach_image() {
    local container="$1" mounted
    shift
    export THAW_IMAGE_ROOT="$STATE/image" THAW_IMAGE_CONFIG="$STATE/image.json"
    mkdir -p "$THAW_IMAGE_ROOT"
    buildah inspect --type container "$container" >"$THAW_IMAGE_CONFIG"
    mounted="$(buildah mount "$container")" || give_up "buildah cannot mount the container $container"
    mount --bind "$mounted" "$THAW_IMAGE_ROOT"
    mount -o remount,bind,ro "$THAW_IMAGE_ROOT"
    prepare
    enter "$@"
}
