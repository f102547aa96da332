"""Timing over ssh, against a real sshd on this host that the tests start; and every way in which it can go wrong."""

import json
import os
import random
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from objectives.base import objectives_named
from objectives.latency import ssh, timing
from objectives.latency.device import DeviceUnavailable
from objectives.latency.measurement import timed_model
from objectives.latency.open_device import open_device
from search_space import SearchSpace, UserError
from search_space.backends.network_values import random_values
from search_space.backends.onnx_model import build_onnx
from search_space.graph import Graph
from search_space.space import RandomTrial
from studies.cli import main

SSHD = Path("/usr/sbin/sshd")
needs_sshd = pytest.mark.skipif(not SSHD.exists(), reason="needs /usr/sbin/sshd, of Debian's openssh-server")
PYTHON = f"#!/bin/sh\nexec {shlex.quote(sys.executable)} "


@dataclass(frozen=True)
class Remote:
    """The machine at the other end."""

    folder: Path
    port: int

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def device(self) -> str:
        return f"ssh:{self.target}"

    @property
    def python3(self) -> Path:
        """What `python3` is there."""
        return self.folder / "bin" / "python3"

    @property
    def left_behind(self) -> list[Path]:
        """Folders among its temporary files; onnxruntime leaves a file there (`.ses`)."""
        return [path for path in (self.folder / "tmp").iterdir() if path.is_dir()]

    def install_python3(self, script: str) -> None:
        self.python3.write_text(script)
        self.python3.chmod(0o755)

    def connect_with(self, key: str) -> None:
        """Put `ssh` and `scp` in front that use this key, and no settings of whoever runs the tests."""
        config = self.folder / "ssh_config"
        lines = [
            f'IdentityFile "{self.folder / key}"',
            f'UserKnownHostsFile "{self.folder / "known_hosts"}"',
            "IdentitiesOnly yes",
            "IdentityAgent none",
            "StrictHostKeyChecking accept-new",
            "KexAlgorithms curve25519-sha256",
        ]
        config.write_text("\n".join(lines) + "\n")


def make_key(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=20)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def make_remote(folder: Path) -> Remote:
    """Its keys, its programs and its settings; nothing else of this host is on its PATH."""
    for name in ("bin", "client", "home", "tmp"):
        (folder / name).mkdir()
    for name in ("host_key", "user_key", "stranger_key"):
        make_key(folder / name)
    for name in ("mktemp", "rm"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    for name in ("ssh", "scp"):
        wrapper = folder / "client" / name
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which(name)} -F {shlex.quote(str(folder / "ssh_config"))} "$@"\n')
        wrapper.chmod(0o755)
    (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
    remote = Remote(folder, free_port())
    environment = {"HOME": "home", "PATH": "bin", "TMPDIR": "tmp"}
    lines = [
        f"Port {remote.port}",
        "ListenAddress 127.0.0.1",
        f'HostKey "{folder / "host_key"}"',
        f'PidFile "{folder / "sshd.pid"}"',
        f'AuthorizedKeysFile "{folder / "authorized_keys"}"',
        "AuthenticationMethods publickey",
        "PermitRootLogin prohibit-password",
        "StrictModes no",
        "UsePAM no",
        "Subsystem sftp internal-sftp",
        # An empty home, too: bash reads ~/.bashrc even for a command, and that may change PATH.
        " ".join(["SetEnv", *(f'"{name}={folder / path}"' for name, path in environment.items())]),
    ]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    return remote


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    remote = make_remote(tmp_path_factory.mktemp("remote"))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    log = remote.folder / "sshd.log"
    command = [str(SSHD), "-D", "-f", str(remote.folder / "sshd_config"), "-E", str(log)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not (log.exists() and "Server listening" in log.read_text()):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text() if log.exists() else "no log"
            time.sleep(0.02)
        yield remote
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def remote(server: Remote, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """A machine that works: reachable by the `ssh` on PATH, with a python3 that has onnxruntime."""
    server.install_python3(PYTHON + '"$@"\n')
    server.connect_with("user_key")
    monkeypatch.setenv("PATH", f"{server.folder / 'client'}{os.pathsep}{os.environ['PATH']}")
    return server


def graph_of(resolution: int) -> Graph:
    space = SearchSpace(depth=(18, 20), base_width=(8, 8), blocks=("basic",), resolution=(resolution,))
    return space.sample(RandomTrial(random.Random(0))).build_graph()


def complaint(device: str) -> str:
    """What is said where `device` cannot be used: one line that names it."""
    with pytest.raises(DeviceUnavailable) as caught, open_device(device):
        pass
    assert caught.value.exit_code == 3
    message = str(caught.value)
    assert message.startswith(f"{device}: ") and len(message.splitlines()) == 1
    return message.removeprefix(f"{device}: ")


# --- what works -----------------------------------------------------------------------------------


@needs_sshd
def test_models_are_timed_there_and_nothing_stays(remote: Remote) -> None:
    log = remote.folder / "arguments"
    remote.install_python3(f'#!/bin/sh\necho "$@" >> {log}\nexec {shlex.quote(sys.executable)} "$@"\n')
    with open_device(remote.device, 2) as device:
        assert (device.name, device.threads) == (remote.device, 2)
        assert dict(device.fingerprint) == timing.fingerprint()
        (folder,) = remote.left_behind
        assert [path.name for path in folder.iterdir()] == ["timing.py"]
        small, large = device.time([timed_model(graph_of(8)), timed_model(graph_of(48))])
        assert device.time([]) == []
    assert remote.left_behind == []
    for found in (small, large):
        assert 0 < found.latency_ms <= found.p90_ms
        assert found.rounds >= 3 and found.runs >= 10
        assert found.kernels == ()
    assert large.latency_ms > 2 * small.latency_ms  # 36 times the MACs
    script = folder / "timing.py"
    assert log.read_text().splitlines() == [
        f"{script}",
        f"{script} --threads 2 {folder}/model0.onnx {folder}/model1.onnx",
    ]


@needs_sshd
def test_kernels_come_along(remote: Remote) -> None:
    graph = graph_of(32)
    with open_device(remote.device) as device:
        (found,) = device.time([timed_model(graph)], kernels=True)
    convolutions = [kernel for kernel in found.kernels if kernel.operator.endswith("Conv")]
    assert len(convolutions) == sum(type(node.op).__name__ == "Conv" for node in graph.nodes)
    assert all(kernel.us > 0 for kernel in convolutions)


@needs_sshd
def test_a_model_of_open_size_needs_the_size(remote: Remote) -> None:
    graph = graph_of(16)
    opened = build_onnx(graph, random_values(graph))
    for axis in (2, 3):
        opened.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "size"
    model = opened.SerializeToString()
    with open_device(remote.device) as device:
        with pytest.raises(DeviceUnavailable, match="leaves the image's size open: give --size"):
            device.time([model])
        ((small,), (large,)) = (device.time([model], size=size) for size in (8, 48))
    assert large.latency_ms > 2 * small.latency_ms
    assert remote.left_behind == []


@needs_sshd
def test_the_folder_goes_even_if_the_caller_fails(remote: Remote) -> None:
    with pytest.raises(ZeroDivisionError), open_device(remote.device):
        assert len(remote.left_behind) == 1
        raise ZeroDivisionError
    assert remote.left_behind == []


@needs_sshd
def test_the_command_line_measures_over_ssh(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path))  # no calibration of this host

    def resfront(*args: str) -> int:
        monkeypatch.setattr(sys, "argv", ["resfront", *args])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0)

    assert resfront("measure", "--reference", "resnet8", "--bits", "8", "--device", remote.device, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["network"], row["device"], row["kind"], row["precision"]) == (
        "resnet8",
        remote.device,
        "measured",
        "int8",
    )
    assert row["processor"] == timing.processor() and row["threads"] == 1
    assert 0 < row["latency_ms"] <= row["p90_ms"]

    remote.python3.unlink()
    assert resfront("measure", "--reference", "resnet8", "--device", remote.device, "--json") == 3
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"error: {remote.device}: there is no python3") and err.count("\n") == 1


# --- what does not --------------------------------------------------------------------------------


@needs_sshd
def test_nothing_listens(remote: Remote) -> None:
    message = complaint(f"ssh:127.0.0.1:{free_port()}")
    assert message.startswith("cannot connect") and "Connection refused" in message


@needs_sshd
def test_an_unknown_host(remote: Remote) -> None:
    message = complaint("ssh:someone@no-such-host.invalid")
    assert message.startswith("cannot connect") and "no-such-host.invalid" in message


@needs_sshd
def test_a_key_that_is_refused(remote: Remote) -> None:
    remote.connect_with("stranger_key")
    message = complaint(remote.device)
    assert message.startswith("cannot connect with a key") and "Permission denied (publickey)" in message


@needs_sshd
def test_no_python3(remote: Remote) -> None:
    remote.python3.unlink()
    assert complaint(remote.device).startswith("there is no python3")
    assert remote.left_behind == []


@needs_sshd
def test_no_onnxruntime(remote: Remote) -> None:
    remote.install_python3(PYTHON + '-I -S "$@"\n')
    assert "python3 -m pip install onnxruntime" in complaint(remote.device)
    assert remote.left_behind == []


@needs_sshd
@pytest.mark.parametrize("script", ["echo hello", "true"])
def test_a_python3_that_is_something_else(remote: Remote, script: str) -> None:
    remote.install_python3(f"#!/bin/sh\n{script}\n")
    assert complaint(remote.device).startswith("python3 there does not run the script, it prints ")
    assert remote.left_behind == []


@needs_sshd
def test_a_python3_that_fails(remote: Remote) -> None:
    remote.install_python3("#!/bin/sh\necho first >&2\necho 'Illegal instruction' >&2\nexit 132\n")
    assert complaint(remote.device) == "exit code 132 (Illegal instruction)"


@needs_sshd
def test_a_command_that_hangs_is_cut_off(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "RUN_TIMEOUT_S", 0.7)
    pid = remote.folder / "pid"
    remote.install_python3(f"#!/bin/sh\necho $$ > {pid}\nexec {shutil.which('sleep')} 60\n")
    started = time.monotonic()
    try:
        assert complaint(remote.device) == "ssh took longer than 1 s"
    finally:
        with suppress(ProcessLookupError, FileNotFoundError):
            os.kill(int(pid.read_text()), 9)
    assert time.monotonic() - started < 30
    assert remote.left_behind == []


@needs_sshd
def test_a_copy_that_hangs_is_cut_off(remote: Remote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ssh, "COPY_TIMEOUT_S", 0.5)
    (tmp_path / "scp").write_text(f"#!/bin/sh\nexec {shutil.which('sleep')} 60\n")
    (tmp_path / "scp").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert complaint(remote.device).startswith("scp took longer than ")
    assert remote.left_behind == []


@needs_sshd
def test_no_scp_here(remote: Remote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ssh").symlink_to(remote.folder / "client" / "ssh")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert complaint(remote.device) == "'scp' is not installed here"
    assert remote.left_behind == []


def test_no_ssh_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert complaint("ssh:board.local") == "'ssh' is not installed here"


@pytest.mark.parametrize(
    "target",
    [
        "-oProxyCommand=touch${IFS}owned",
        "-oProxyCommand=touch${IFS}owned@host",
        "-lroot@host",
        "user@-oProxyCommand=touch",
        "a b",
        "host;rm -rf x",
        "host$(touch owned)",
        "host`touch owned`",
        "host|touch owned",
        "host\n",
        "host/../x",
        "host:22:23",
        "host:port",
        "host:",
        "a@b@c",
        "@host",
        "",
    ],
)
def test_a_target_is_a_name_and_nothing_else(target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = tmp_path / "started"
    for name in ("ssh", "scp"):
        (tmp_path / name).write_text(f"#!/bin/sh\n: > {started}\nexit 255\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert complaint("ssh:host").startswith("cannot connect")
    started.unlink()
    with pytest.raises(UserError, match="write ssh:user@host or ssh:user@host:port"), open_device(f"ssh:{target}"):
        pass
    with pytest.raises(UserError, match="write ssh:user@host or ssh:user@host:port"):
        objectives_named(["accuracy", f"latency_ms@ssh:{target}"])
    assert not started.exists()
