# shellcheck shell=bash
# What all container ways share: the image's name, the mounts, the variables.

HOST_CA=/run/host-ca.crt

image_digest() { cat "$ROOT/infra/Containerfile" "$UV_REQUIREMENTS" | sha256 | cut -c 1-12; }

OS_IMAGE="localhost/thaw-os:$(image_digest)"
BASE_IMAGE="${THAW_BASE_IMAGE:-docker.io/library/debian:trixie-slim}"
MADE_BASE_IMAGE="localhost/thaw-base:trixie"
DEPLOYED_IMAGE="localhost/thaw:latest"

# The host's certificates, with those of a company's proxy: the container trusts what the host trusts.
host_ca_bundle() {
    local bundle
    for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt \
        /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
        if [ -n "$bundle" ] && [ -f "$bundle" ]; then
            printf '%s\n' "$bundle"
            return
        fi
    done
}

# Sets MOUNTS: folders mounted at their own paths, none below another; and FOLDER, the current one.
collect_mounts() {
    local folder rest="${THAW_MOUNTS:-}:"
    MOUNTS=()
    FOLDER="$(pwd -P)"
    for folder in /tmp "${HOME:-/}" "$ROOT" "$FOLDER"; do add_mount "$folder"; done
    while [ -n "$rest" ]; do
        folder="${rest%%:*}"
        rest="${rest#*:}"
        [ -n "$folder" ] || continue
        [ -d "$folder" ] || give_up "THAW_MOUNTS: no folder '$folder'"
        folder="$(cd "$folder" && pwd -P)"
        may_be_mounted "$folder" || give_up "THAW_MOUNTS: '$folder' belongs to the container's system"
        add_mount "$folder"
    done
}

# Not over the container's own system.
may_be_mounted() {
    case "$1" in
        / | /var | /run) return 1 ;;
        /bin | /boot | /dev | /etc | /lib | /lib64 | /opt/uv | /proc | /sbin | /sys | /usr) return 1 ;;
        /bin/* | /boot/* | /dev/* | /etc/* | /lib/* | /lib64/* | /opt/uv/* | /proc/* | /sbin/* | /sys/* | /usr/*) return 1 ;;
    esac
}

add_mount() {
    local folder
    may_be_mounted "$1" && [ -d "$1" ] || return 0
    for folder in ${MOUNTS[@]+"${MOUNTS[@]}"}; do
        case "$1/" in "$folder"/*) return 0 ;; esac
    done
    MOUNTS+=("$1")
}

# The caller's variables that mean something inside; PATH and the like are the container's own.
is_passed_on() {
    case "$1" in
        HOME | USER | LOGNAME | TERM | COLORTERM | COLUMNS | LINES | LANG | LC_* | TZ | EDITOR) ;;
        CI | NO_COLOR | FORCE_COLOR | KUBECONFIG) ;;
        THAW_ENVIRONMENT*) return 1 ;;
        THAW_* | TF_* | KERAS_* | XLA_* | CUDA_* | NVIDIA_* | NCCL_* | OMP_* | GRPC_VERBOSITY) ;;
        PYTHONHASHSEED | PYTHONUNBUFFERED | PYTHONWARNINGS | PYTHONFAULTHANDLER | PYTEST_*) ;;
        AWS_* | GOOGLE_* | AZURE_* | HF_* | UV_INDEX* | UV_DEFAULT_INDEX | PIP_INDEX_URL) ;;
        http_proxy | https_proxy | no_proxy | all_proxy | HTTP_PROXY | HTTPS_PROXY | NO_PROXY | ALL_PROXY) ;;
        *) return 1 ;;
    esac
}

# Sets PASSED_ON: names; and VARIABLES: NAME=value that hold inside only.
collect_variables() {
    local name
    PASSED_ON=()
    while IFS= read -r name; do
        if is_passed_on "$name"; then PASSED_ON+=("$name"); fi
    done < <(compgen -e)
    VARIABLES=("VIRTUAL_ENV=$VENV" "PYTHONPATH=$ROOT" "THAW_ENVIRONMENT=$WAY" "THAW_ENVIRONMENT_ROOT=$ROOT")
    VARIABLES+=("PATH=$VENV/bin:/opt/uv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    [ -n "${HOME:-}" ] || VARIABLES+=("HOME=$STATE/home")
    [ -z "$(host_ca_bundle)" ] || add_ca_variables
}

add_ca_variables() {
    local name
    for name in SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE PIP_CERT GIT_SSL_CAINFO AWS_CA_BUNDLE \
        GRPC_DEFAULT_SSL_ROOTS_FILE_PATH; do
        VARIABLES+=("$name=$HOST_CA")
    done
}

# Makes .venv, or uv.lock, inside: the same script, with the lock held out here.
sync_in_container() {
    (
        cd "$ROOT"
        enter "$ROOT/infra/environment" inside "${INSIDE[@]}"
    ) && return
    WHY="the packages could not be installed in the container (see above)"
    return 1
}
