"""Devices by name: this host (`cpu`), or another machine over ssh (`ssh:user@host`)."""

from contextlib import AbstractContextManager

from search_space.errors import UserError, unknown_name

from ..devices import profile_names
from .device import HOST, SSH, Device, check_ssh_target
from .host import HostDevice
from .ssh import SshDevice


def open_device(name: str, threads: int = 1) -> AbstractContextManager[Device]:
    """The device called `name`, ready to time; raises UserError for an unknown one, DeviceUnavailable on entering."""
    if name == HOST:
        return HostDevice(threads)
    if name.startswith(SSH):
        return SshDevice(check_ssh_target(name.removeprefix(SSH)), threads)
    if name in profile_names() or name.endswith(".toml"):
        raise UserError(
            f"device '{name}': is a profile, which is estimated and cannot be measured; use cpu or ssh:user@host"
        )
    raise UserError(f"{unknown_name('device', name, [HOST, *profile_names()])} (or ssh:user@host)")
