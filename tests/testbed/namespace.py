"""An own network namespace for this process and all it starts, with or without root.

Loopback is up and the pod and service networks are routed to it (`local <network> dev lo`), so any pod address can
be bound without an interface, ports can be fixed, and nothing inside reaches the world or another cluster.
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import os
import socket
import struct
import threading
from pathlib import Path

from testbed.waiting import wait_for

POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"

_ENTERED, _REFUSED = "SPARKRELEASE_NETWORK_OF", "SPARKRELEASE_NETWORK_REFUSED"
"""Variables in which `enter_for_successor` tells it how that went."""

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_IFREQ_FLAGS = "16sh14x"

_RTM_NEWROUTE = 24
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_EXCL, _NLM_F_CREATE = 0x1, 0x4, 0x200, 0x400
_RT_TABLE_LOCAL, _RTPROT_STATIC, _RT_SCOPE_HOST, _RTN_LOCAL = 255, 4, 254, 2
_RTA_DST, _RTA_OIF = 1, 4
_NLMSGHDR = struct.Struct("IHHII")

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(RuntimeError):
    """This machine gives no network namespace, or gives it too late."""


def enter() -> None:
    """Moves this process into a fresh network namespace (and, without root, a user namespace).

    Nothing is left to do for the successor of `enter_for_successor`.

    Raises:
        NamespaceError: other threads run already, or the kernel refuses; the message names the other lane.
    """
    if os.environ.get(_ENTERED) == str(os.getpid()):
        return
    if refusal := os.environ.get(_REFUSED):
        raise NamespaceError(refusal)
    _require_one_thread()
    user, group = os.getuid(), os.getgid()
    try:
        try:
            _unshare(CLONE_NEWNET)
        except PermissionError:
            _unshare(CLONE_NEWUSER | CLONE_NEWNET)
            _become_root_inside(user, group)
        _loopback_up()
        for network in (POD_NETWORK, SERVICE_NETWORK):
            _route_to_loopback(network)
    except OSError as error:
        raise NamespaceError(
            f"no network namespace on this machine ({error}); the local lane needs one. "
            "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, or on Ubuntu "
            "kernel.apparmor_restrict_unprivileged_userns=0), or use the kind lane: make e2e-kind"
        ) from error


def enter_for_successor() -> None:
    """Enters a namespace for the program that this process is about to become, whatever threads that starts.

    Where there is no namespace to be had, the successor's own `enter` tells why.
    """
    try:
        enter()
        os.environ[_ENTERED] = str(os.getpid())  # of this process alone: its children inherit the variable as well
    except NamespaceError as error:
        os.environ[_REFUSED] = str(error)


def _require_one_thread() -> None:
    try:  # one that was told to end, such as that of a progress bar, may still be on its way out
        wait_for("one thread", lambda: len(list(Path("/proc/self/task").iterdir())) == 1, timeout=1)
    except TimeoutError:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise NamespaceError(f"a network namespace must be entered before threads start; running: {names}") from None


def join(pid: int) -> None:
    """Moves this process into the namespaces of another one.

    Raises:
        NamespaceError: the process is gone or not ours.
    """
    try:
        own = Path("/proc/self/ns/user").readlink()
        if Path(f"/proc/{pid}/ns/user").readlink() != own:
            _setns(pid, "user", CLONE_NEWUSER)
        _setns(pid, "net", CLONE_NEWNET)
    except OSError as error:
        raise NamespaceError(f"cannot enter the namespaces of process {pid}: {error}") from error


def _unshare(flags: int) -> None:  # os.unshare is there from Python 3.12 on
    if _libc.unshare(flags):
        raise _last_error("unshare")


def _setns(pid: int, kind: str, flag: int) -> None:
    with Path(f"/proc/{pid}/ns/{kind}").open() as namespace:
        if _libc.setns(namespace.fileno(), flag):
            raise _last_error(f"setns {kind}")


def _last_error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")


def _become_root_inside(user: int, group: int) -> None:
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack(_IFREQ_FLAGS, b"lo", 0)
        flags = struct.unpack(_IFREQ_FLAGS, fcntl.ioctl(sock, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack(_IFREQ_FLAGS, b"lo", flags | _IFF_UP))


def _route_to_loopback(cidr: str) -> None:
    """`ip route add local CIDR dev lo`, by rtnetlink: iproute2 may not be installed."""
    network = ipaddress.ip_network(cidr)
    length = network.prefixlen
    route = struct.pack(
        "BBBBBBBBI",
        *(socket.AF_INET, length, 0, 0, _RT_TABLE_LOCAL, _RTPROT_STATIC, _RT_SCOPE_HOST, _RTN_LOCAL, 0),
    )
    route += _attribute(_RTA_DST, network.network_address.packed)
    route += _attribute(_RTA_OIF, struct.pack("i", socket.if_nametoindex("lo")))
    flags = _NLM_F_REQUEST | _NLM_F_ACK | _NLM_F_CREATE | _NLM_F_EXCL
    message = _NLMSGHDR.pack(_NLMSGHDR.size + len(route), _RTM_NEWROUTE, flags, 1, 0) + route
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.bind((0, 0))
        sock.send(message)
        (error,) = struct.unpack_from("i", sock.recv(4096), _NLMSGHDR.size)
    if error:
        raise OSError(-error, f"route {cidr}: {os.strerror(-error)}")


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)
