"""Training on GPUs: scaling over 1 to n of them, mixed precision, XLA, and whether the input keeps up.

To be run on a machine with GPUs. `--cpu-replicas` tries its logic on logical CPU devices, and proves nothing.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from benchmarks.figures import Figure, Goal, ratio
from benchmarks.isolation import BenchmarkError, run_isolated
from benchmarks.reporting import at_least_one, finish, parser_of, shown

Case = dict[str, Any]
NO_GPU = 3  # exit status: nothing was measured, and nothing failed
_LEAST_SCALING, _LEAST_INPUT = 0.9, 0.95
_MIXED = "mixed_bfloat16"
# The layers below are left frozen: their max pooling has no deterministic gradient under XLA.
_BOUNDARY = {"layer": "conv2_block1_1_conv"}
_SIZES = {"backbone": "ResNet50", "image_size_px": 224, "batch_size": 128, "unfreeze": _BOUNDARY}
_SMALL_SIZES = {"backbone": "small_cnn", "image_size_px": 8, "batch_size": 4, "unfreeze": {"layer": "block4_conv"}}


def cases(num_devices: int, on_cpu: bool, sizes: Mapping[str, Any]) -> dict[str, Case]:
    """What is measured, by name: powers of 2 and all devices; then precision, XLA and input on one."""
    numbers = sorted({2**power for power in range(num_devices.bit_length())} | {num_devices})

    def case(number: int, precision: str = "float32", jit_compile: bool = False, starved: bool = False) -> Case:
        return {
            "gpus": number,
            "cpu_replicas": number if on_cpu else None,
            "precision": precision,
            "jit_compile": jit_compile,
            "starved": starved,
            **sizes,
        }

    return {
        **{f"{number} devices": case(number) for number in numbers},
        "mixed": case(1, _MIXED),
        "XLA": case(1, jit_compile=True),
        "mixed, XLA": case(1, _MIXED, jit_compile=True),
        "from files": case(1, _MIXED, starved=True),
    }


def figures_of(rates: Mapping[str, float | None]) -> list[Figure]:
    """The rows.

    Args:
        rates: images per second of each of `cases`, None where it failed.
    """
    figures = [Figure(f"{name}: training", rate, "images/s") for name, rate in rates.items()]
    one = rates["1 devices"]
    for name, rate in rates.items():
        number = int(name.split()[0]) if name.endswith(" devices") else 1
        if number > 1:
            scaling = ratio(rate, one * number if one else None)
            figures.append(Figure(f"{name}: share of perfect scaling", scaling, "", Goal(">=", _LEAST_SCALING)))
    figures += [Figure(f"{name}: over float32", ratio(rates[name], one), "") for name in ("mixed", "XLA", "mixed, XLA")]
    kept_up = ratio(rates["from files"], rates["mixed"])
    return [*figures, Figure("from files: share of the rate from memory", kept_up, "", Goal(">=", _LEAST_INPUT))]


def num_gpus() -> int:
    """How many TensorFlow sees; asked in another process, so that this one holds none of their memory."""
    code = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(answer.stdout.split()[-1])


def _measured(name: str, case: Case, num_steps: int, console: Console) -> float | None:
    """Images per second; None, with the reason on screen, where the case fails, which does not keep the others back."""
    try:
        result = run_isolated("benchmarks.gpu_variant", json.dumps(case), num_steps).result
    except BenchmarkError as error:
        console.print(f"{name}: failed: {error}", soft_wrap=True)
        return None
    console.print(f"{name}: {shown(result['images_per_s'])} images/s on {result['devices']}", soft_wrap=True)
    return float(result["images_per_s"])


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; exits with status 3 where there is no GPU."""
    parser = parser_of("gpu", "Scaling over GPUs, mixed precision, XLA, input.")
    parser.add_argument("--cpu-replicas", type=at_least_one, help="try it on logical CPU devices; implies --smoke")
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    on_cpu = options.cpu_replicas is not None
    options.smoke = options.smoke or on_cpu
    number = options.cpu_replicas or num_gpus()
    if not number:
        console.print(
            "TensorFlow sees no GPU on this machine, so nothing was measured. Run this on a machine with GPUs, or try "
            "its logic with --cpu-replicas 2."
        )
        sys.exit(NO_GPU)
    rates: dict[str, float | None] = {}
    for name, case in cases(number, on_cpu, _SMALL_SIZES if options.smoke else _SIZES).items():
        with console.status(f"{name} …"):
            rates[name] = _measured(name, case, 2 if options.smoke else 100, console)
    finish("gpu", figures_of(rates), options, console)


if __name__ == "__main__":
    main()
