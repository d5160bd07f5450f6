"""A checkout on a machine doctored through PATH: its glibc, uv and docker are stand-ins.

So that tests of infra/environment need neither network nor root.
"""

import pathlib
import shutil
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).parents[2]
TOOLS = (
    *(
        "awk",
        "bash",
        "cat",
        "cut",
        "dirname",
        "echo",
        "env",
        "find",
        "flock",
        "grep",
        "head",
        "ln",
        "ls",
        "mkdir",
        "mv",
    ),
    *(
        "perl",
        "readlink",
        "rm",
        "sed",
        "sh",
        "sha256sum",
        "sleep",
        "sort",
        "tail",
        "timeout",
        "touch",
        "tr",
        "true",
        "xargs",
    ),
)
# Counts its calls, and makes of .venv as much as the script looks at.
FAKE_UV = """
    case "$1" in
        --version) echo "uv ${FAKE_UV_VERSION:-99.0.0}" ;;
        lock)
            echo "$*" >>"$HOME/locks"
            exit "${FAKE_UV_LOCK_STATUS:-0}" ;;
        cache) echo "$HOME/.cache/uv" ;;
        sync)
            echo sync >>"$HOME/calls"
            sleep "${FAKE_UV_SECONDS:-0}"
            mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
            ln -sf "$REAL_PYTHON" "$UV_PROJECT_ENVIRONMENT/bin/python"
            echo "$UV_PROJECT_ENVIRONMENT" >"$UV_PROJECT_ENVIRONMENT/bin/activate"
            exit "${FAKE_UV_STATUS:-0}" ;;
    esac
"""
# Runs the command on this machine, with the variables that it was told to set.
FAKE_DOCKER = """
    case "$1" in
        info) [ -z "${FAKE_DOCKER_DOWN:-}" ] || { echo "Cannot connect to the daemon" >&2; exit 1; } ;;
        run)
            printf '%s\\n' "$@" >"$HOME/docker-arguments"
            while [ "${1#localhost/}" = "$1" ]; do
                case "$1 $2" in "--env PATH="*) ;; "--env "*=*) export "$2" ;; esac
                shift
            done
            shift
            "$@" ;;
    esac
"""
# Knows one image, of which it keeps the label, which is its id, too, and the names of containers.
FAKE_BUILDAH = """
    case "$1 $2 $3" in
        build*)
            printf '%s\\n' "$@" | sed -n 's/^thaw.inputs=//p' >"$HOME/label"
            echo build >>"$HOME/builds" ;;
        "inspect --type image") case "$*" in *localhost/thaw:cpu) cat "$HOME/label" ;; esac ;;
        "inspect --type container") cat "$HOME/containers/$4" ;;
        containers*) ls "$HOME/containers" ;;
        from*) mkdir -p "$HOME/containers" && echo '{}' >"$HOME/containers/$3" ;;
        images*) cat "$HOME/label" ;;
        rmi*) echo "$2" >"$HOME/removed" ;;
        rm*) shift && cd "$HOME/containers" && rm "$@" ;;
        mount*) [ -e "$HOME/containers/$2" ] && echo / ;;
    esac
"""
# There are no mounts to be made on this machine, nor a need for them.
FAKE_UNSHARE = """
    while :; do
        case "$1" in --propagation) shift 2 ;; --*) shift ;; *) exec "$@" ;; esac
    done
"""


class Machine:
    """A doctored machine with a checkout, in which infra/environment runs."""

    def __init__(self, folder: pathlib.Path, glibc: str = "2.41") -> None:
        self.checkout = folder / "check out ü"
        self.home = folder / "home"
        self.bin = folder / "bin"
        for made in (self.checkout, self.home, self.bin):
            made.mkdir()
        shutil.copytree(ROOT / "infra", self.checkout / "infra")
        for name in ("thaw", "uv.lock", "pyproject.toml"):
            shutil.copy2(ROOT / name, self.checkout / name)
        for name in filter(shutil.which, TOOLS):
            (self.bin / name).symlink_to(str(shutil.which(name)))
        self.add("getconf", f"echo glibc {glibc}")
        self.add("id", 'case "$1" in -u) echo 1000 ;; *) echo 1000 ;; esac')
        self.add("uname", 'case "$1" in -m) echo "${FAKE_MACHINE:-x86_64}" ;; *) echo Linux ;; esac')
        self.add("c++", "true")

    def add(self, name: str, script: str) -> None:
        """Puts a program of this name on PATH."""
        path = self.bin / name
        path.write_text(f"#!{shutil.which('bash')}\n{textwrap.dedent(script)}\n")
        path.chmod(0o755)

    def environ(self, **extra: str) -> dict[str, str]:
        base = {"PATH": str(self.bin), "HOME": str(self.home), "REAL_PYTHON": sys.executable}
        return {**base, "LANG": "C.UTF-8", **extra}

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.checkout / "infra/environment"), *arguments],
            env=self.environ(**extra),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **extra)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def num_syncs(self) -> int:
        calls = self.home / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0
