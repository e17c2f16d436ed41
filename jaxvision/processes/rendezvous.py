"""Waits until all processes of a run are there, and says who is missing.

Process 0 listens at the address that all know; the others come and tell their
number. Then everybody knows who came, and the port is free again. One line of
JSON goes each way: {"process": 1, "host": "b"} and {"hosts": {"0": "a"}}.
"""

import contextlib
import ipaddress
import json
import socket
import time
from typing import Any

Message = dict[str, Any]

_PAUSE = 0.1
# How long somebody who connects may take to say who he is.
_STRANGER_SECONDS = 5


class Missing(Exception):
  """Some processes of the run did not come; the message names them."""


def answer(
  address: str, *, process: int, count: int, timeout: float
) -> dict[int, str]:
  """Returns {process: host name} once all are there.

  Args:
    address: "host:port" of process 0.
    process: the number of this process, 0 to count - 1.
    count: how many there are.
    timeout: seconds to wait for the others.

  Raises:
    Missing: not all came in time, in every process that came.
    ValueError: two processes have the same number, or the address is none.
    OSError: process 0 cannot listen at the address.
  """
  place = split(address)
  told = (
    _come(*place, process, timeout)
    if process
    else _receive(*place, count, timeout)
  )
  if "error" in told:
    raise ValueError(told["error"])
  hosts = {int(number): name for number, name in told["hosts"].items()}
  if missing := sorted(set(range(count)) - hosts.keys()):
    present = ", ".join(f"{each} ({hosts[each]})" for each in sorted(hosts))
    raise Missing(
      f"process{'es' * (len(missing) > 1)} {', '.join(map(str, missing))} of "
      f"{count} did not come to {address} within {timeout:g} seconds; present: "
      f"{present}. Look at the output of what is missing, and whether its host "
      "reaches that address"
    )
  return hosts


def split(address: str) -> tuple[str, int]:
  """("host", port) of "host:port" or "[::1]:port".

  Raises:
    ValueError: it is neither.
  """
  host, colon, port = address.rpartition(":")
  if not (host and colon and port.isdecimal()):
    raise ValueError(
      f"the address of process 0 is {address!r}; it must be HOST:PORT"
    )
  return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
  """Whether a host is this machine alone: nobody outside need reach it."""
  with contextlib.suppress(ValueError):
    return ipaddress.ip_address(host).is_loopback
  return host == "localhost"


def _receive(host: str, port: int, count: int, timeout: float) -> Message:
  """What process 0 does, and tells all that came."""
  told = {"hosts": {"0": socket.gethostname()}}
  deadline = time.monotonic() + timeout
  with contextlib.ExitStack() as stack:
    server, came = stack.enter_context(_listen(host, port)), []
    while "error" not in told and len(told["hosts"]) < count:
      server.settimeout(max(deadline - time.monotonic(), 0.001))
      try:
        connection = stack.enter_context(server.accept()[0])
      except TimeoutError:
        break
      said = _read(connection, _STRANGER_SECONDS) or {}
      if said.keys() == {"process", "host"}:
        came.append(connection)
        told |= _entered(told["hosts"], said["process"], said["host"])
    for connection in came:
      _send(connection, told)
  return told


def _entered(hosts: dict[str, str], process: int, host: str) -> Message:
  """Adds a process; says what is wrong with it."""
  other = hosts.get(str(process))
  if other is None:
    hosts[str(process)] = host
    return {}
  return {
    "error": f"two processes have the number {process}, on {other} and {host}; "
    "each needs its own"
  }


def _listen(host: str, port: int) -> socket.socket:
  if is_loopback(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
  if socket.has_dualstack_ipv6():
    return socket.create_server(
      ("", port), family=socket.AF_INET6, dualstack_ipv6=True
    )
  return socket.create_server(("", port))


def _come(host: str, port: int, process: int, timeout: float) -> Message:
  """What the others do."""
  said = {"process": process, "host": socket.gethostname()}
  deadline = time.monotonic() + timeout
  while (left := deadline - time.monotonic()) > 0:
    with (
      contextlib.suppress(OSError),
      socket.create_connection((host, port), timeout=left) as connection,
    ):
      _send(connection, said)
      # Process 0 may have begun to wait just now.
      if told := _read(connection, timeout + _STRANGER_SECONDS):
        return told
    time.sleep(_PAUSE)
  return {"hosts": {str(process): said["host"]}}


def _send(connection: socket.socket, value: Message) -> None:
  with contextlib.suppress(OSError):  # it did not wait for the answer
    connection.sendall(json.dumps(value).encode() + b"\n")


def _read(connection: socket.socket, timeout: float) -> Message | None:
  """A line of JSON; None of a stranger, who says something else or nothing."""
  connection.settimeout(timeout)
  with contextlib.suppress(OSError, ValueError), connection.makefile() as file:
    value = json.loads(file.readline(1 << 20))
    return value if isinstance(value, dict) else None
  return None
