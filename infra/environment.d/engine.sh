# shellcheck shell=bash
# The ways docker and podman, and building images with any of the three.

set_up_engine() {
    engine_answers || return 1
    with_lock 8 "$CACHE/lock" ensure_os_image || return 1
    engine_runs_true || return 1
    sync_in_container
}

engine_answers() {
    local answer
    if ! has "$WAY"; then
        WHY="not found"
    elif ! answer="$("$WAY" info 2>&1)"; then
        WHY="found, but does not answer: $(printf '%s\n' "$answer" | grep -v '^ *$' | tail -n 1)"
    else
        return 0
    fi
    return 1
}

ensure_os_image() { image_exists "$WAY" "$OS_IMAGE" || build_image "$WAY" os "$OS_IMAGE"; }

# Only running something shows that an engine works: it may lack rights, cgroups or a daemon.
engine_runs_true() {
    local answer
    if answer="$(enter true 2>&1 </dev/null)"; then return; fi
    WHY="found, but cannot run a container: $(printf '%s\n' "$answer" | tail -n 1)"
    return 1
}

engine_is_ready() { has "$WAY" && image_exists "$WAY" "$OS_IMAGE"; }

# build_image ENGINE TARGET TAG
build_image() {
    local arguments ca
    ensure_base "$1" || return 1
    arguments=(build --file "$ROOT/infra/Containerfile" --target "$2" --tag "$3" --network host
        --build-arg "BASE=$BASE" --build-arg PIP_INDEX_URL --build-arg UV_DEFAULT_INDEX)
    [ "$2" = os ] || arguments+=(--build-arg "REVISION=$(revision)" --label "$IMAGE_LABEL=$(inputs_digest)")
    ca="$(host_ca_bundle)"
    [ -z "$ca" ] || arguments+=(--secret "id=host_ca,src=$ca" --build-arg "SSL_CERT_FILE=$HOST_CA")
    if [ "$1" = buildah ]; then
        remove_killed_builds
        arguments+=(--isolation chroot --layers)
    fi
    say "building the image $3 with $1 (the system about a minute, the packages some more)"
    DOCKER_BUILDKIT=1 logged "$1 build" "$1" "${arguments[@]}" "$ROOT" && return
    WHY="the image could not be built (see above)"
    return 1
}

# The commit that is built, for the image's label.
revision() { git -C "$ROOT" rev-parse HEAD 2>/dev/null || echo unknown; }

# A killed build leaves its working container; we hold the lock, so none of them is at work.
remove_killed_builds() {
    buildah containers --format '{{.ContainerName}}' | grep '^thaw-base-working-container' |
        xargs -r buildah rm >/dev/null 2>&1 || true
}

engine_enter() {
    local arguments folder variable ca
    collect_mounts
    collect_variables
    arguments=(run --rm --init --network host --ipc host --security-opt label=disable --workdir "$FOLDER")
    for folder in "${MOUNTS[@]}"; do arguments+=(--mount "$(mount_field "$folder")"); done
    for variable in ${PASSED_ON[@]+"${PASSED_ON[@]}"} "${VARIABLES[@]}"; do arguments+=(--env "$variable"); done
    ca="$(host_ca_bundle)"
    [ -z "$ca" ] || arguments+=(--mount "type=bind,source=$ca,target=$HOST_CA,readonly")
    add_user_and_devices
    if [ -t 0 ] && [ -t 1 ]; then arguments+=(--interactive --tty); else arguments+=(--interactive); fi
    exec "$WAY" "${arguments[@]}" "$OS_IMAGE" "$@"
}

# Fields are CSV: quoted, so that commas in a path do no harm.
mount_field() {
    local path="${1//\"/\"\"}"
    printf 'type=bind,"source=%s","target=%s"' "$path" "$path"
}

# Files made inside belong to the caller: root inside is already the caller where the engine is rootless.
add_user_and_devices() {
    if [ "$WAY" = podman ]; then
        is_root || arguments+=(--userns keep-id)
    elif ! "$WAY" info --format '{{.SecurityOptions}}' 2>/dev/null | grep -q rootless; then
        arguments+=(--user "$(id -u):$(id -g)")
    fi
    has nvidia-smi || return 0
    if [ "$WAY" = podman ]; then arguments+=(--device nvidia.com/gpu=all); else arguments+=(--gpus all); fi
}

# build_deployed_image [--if-changed] [TARGET]: the deployed image, by the first of docker, podman, buildah that answers.
build_deployed_image() {
    local always=yes target earlier
    if [ "${1:-}" = --if-changed ]; then
        always=no
        shift
    fi
    target="${1:-cpu}"
    case "$target" in cpu | gpu) ;; *) wrong_use "image: '$target' is neither cpu nor gpu" ;; esac
    for WAY in docker podman buildah; do
        if [ "$WAY" = buildah ]; then buildah_is_there || continue; else engine_answers || continue; fi
        if [ $always = no ] && image_is_built "$WAY" "$target"; then
            say "$DEPLOYED_IMAGE:$target is of this code already"
            return
        fi
        earlier="$(buildah images --quiet "$DEPLOYED_IMAGE:$target" 2>/dev/null)" || true
        with_lock 8 "$CACHE/lock" build_image "$WAY" "$target" "$DEPLOYED_IMAGE:$target" || give_up "$WAY: $WHY"
        [ "$WAY" != buildah ] || remove_earlier_image "$target" "$earlier"
        say "built $DEPLOYED_IMAGE:$target with $WAY"
        return
    done
    give_up "no docker, podman or buildah (as root) can build the image: $WHY"
}
