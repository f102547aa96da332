"""Checks exported files on a processor that is not at hand: x86 with AVX2 but without VNNI.

Its 8-bit kernels add two products in 16 bits, which overflow unless a session asks for exact sums
(`objectives.latency.timing.EXACT_INT8`). Debian's `qemu-user` runs this script once more on such a processor; torch and
onnxruntime then take the kernels that they would take there (torch does not run on less than AVX2). Each file has to
pass the checks of an export with exact sums; without them it has to fail, or the processor would not be the one that is
meant.

    apt-get install qemu-user
    python -m tests.kernels.older_processor
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import torch

from runners.network_weights import load_network, weights_of
from runners.verification.check_files import check_onnx_file
from search_space.spec import ArchSpec
from tests.runners.verification.test_torch_export import block_network, block_spec, file_of, images

PROCESSOR = "Haswell"
NETWORKS = (("basic", 8), ("se_ghost", 8), ("bottleneck", 4))


def write_networks(folder: Path) -> None:
    for block, bits in NETWORKS:
        network = block_network(block, (bits,) * 3)
        path = folder / f"{block}-{bits}"
        path.with_suffix(".json").write_text(json.dumps(block_spec(block, bits).to_dict()))
        path.with_suffix(".safetensors").write_bytes(weights_of(network))
        path.with_suffix(".onnx").write_bytes(file_of(network, int8=True))


def check_networks(folder: Path) -> int:
    """Check every file as an export does; return how many do not end as they should."""
    wrong = 0
    print(f"  torch: {torch.backends.cpu.get_cpu_capability()}", flush=True)
    for path in sorted(folder.glob("*.json")):
        network = load_network(
            ArchSpec.from_dict(json.loads(path.read_text())), path.with_suffix(".safetensors").read_bytes()
        )
        for exact in (True, False):
            # /proc/cpuinfo shows the host's processor, so it is said which sums are asked for.
            with patch("runners.verification.onnx_files.int8_saturates", lambda exact=exact: exact):
                check = check_onnx_file(path.with_suffix(".onnx").read_bytes(), network, images()[1], int8=True)
            wrong += (check.problem is None) is not exact
            sums = "exact sums" if exact else "16-bit sums"
            print(f"  {path.stem}, {sums}: {check.problem or check.finding}", flush=True)
    return wrong


def main() -> int:
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        return check_networks(Path(sys.argv[1]))
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        sys.exit("needs Debian's qemu-user")
    with tempfile.TemporaryDirectory() as folder:
        write_networks(Path(folder))
        print(PROCESSOR, flush=True)
        command = [emulator, "-cpu", PROCESSOR, sys.executable, "-m", "tests.kernels.older_processor", folder]
        return int(subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
