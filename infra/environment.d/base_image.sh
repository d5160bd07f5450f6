# shellcheck shell=bash
# The image that ours is built on: pulled, or made with debootstrap where no registry answers.

DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# ensure_base ENGINE: sets BASE to an image that the engine has.
ensure_base() {
    BASE="$BASE_IMAGE"
    if image_exists "$1" "$BASE"; then return; fi
    say "pulling $BASE"
    if pull_base "$1"; then return; fi
    BASE="$MADE_BASE_IMAGE"
    if image_exists "$1" "$BASE"; then return; fi
    make_base "$1"
}

image_exists() {
    case "$1" in
        buildah) buildah inspect --type image "$2" >/dev/null 2>&1 ;;
        *) "$1" image inspect "$2" >/dev/null 2>&1 ;;
    esac
}

pull_base() {
    local limit=()
    has timeout && limit=(timeout 600)
    mkdir -p "$STATE"
    ${limit[@]+"${limit[@]}"} "$1" pull "$BASE_IMAGE" >>"$STATE/setup.log" 2>&1 </dev/null
}

# make_base ENGINE: a minimal Debian 13 through the host's own Debian mirror.
make_base() {
    WHY="$BASE_IMAGE cannot be pulled"
    is_root || { WHY="$WHY, and making a base image needs root"; return 1; }
    { has debootstrap && [ -f "$DEBIAN_KEYRING" ]; } || install_packages debootstrap debian-archive-keyring ||
        { WHY="$WHY, and there is no debootstrap to make it (apt install debootstrap)"; return 1; }
    mkdir -p "$CACHE"
    rm -rf --one-file-system "$CACHE"/base.*
    say "no registry answers: making a Debian 13 base with debootstrap (about half a minute)"
    if ! bootstrap_tar || ! import_base "$1"; then
        WHY="$WHY, and debootstrap could not make it (see above)"
        return 1
    fi
    rm -rf --one-file-system "$CACHE"/base.*
}

# Its mounts live in a namespace of their own, so that a killed debootstrap leaves none behind.
bootstrap_tar() {
    local folder="$CACHE/base.rootfs" script=/usr/share/debootstrap/scripts/trixie
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid # an older debootstrap
    logged debootstrap unshare --mount --propagation private \
        debootstrap --variant=minbase --force-check-gpg "--keyring=$DEBIAN_KEYRING" \
        trixie "$folder" "$(debian_mirror)" "$script" &&
        logged tar tar -C "$folder" --numeric-owner --exclude='./var/cache/apt/archives/*.deb' \
            --exclude='./var/lib/apt/lists/*' -cf "$CACHE/base.tar.new" . &&
        mv "$CACHE/base.tar.new" "$CACHE/base.tar"
}

debian_mirror() {
    local mirror="${THAW_DEBIAN_MIRROR:-}"
    if [ -z "$mirror" ] && has apt-get; then
        # shellcheck disable=SC2016  # apt's own placeholders
        mirror="$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
            sed -n 's/ Debian$//p' | head -n 1)" || true
    fi
    printf '%s\n' "${mirror:-http://deb.debian.org/debian}"
}

import_base() {
    local container=thaw-base-half-made
    case "$1" in
        buildah)
            buildah rm "$container" >/dev/null 2>&1 || true
            logged "buildah from" buildah from --name "$container" scratch &&
                logged "buildah add" buildah add --quiet "$container" "$CACHE/base.tar" / &&
                logged "buildah commit" buildah commit --quiet --rm "$container" "$MADE_BASE_IMAGE"
            ;;
        *) logged "$1 import" "$1" import "$CACHE/base.tar" "$MADE_BASE_IMAGE" ;;
    esac
}
