"""Waits until all processes of a run have started, and reports missing ones.

Process 0 listens at the address that all processes know. The other processes
connect and send their numbers. Process 0 answers with the list of all processes
and frees the port. Each message is one line of JSON: {"process": 1, "host":
"b"} and {"hosts": {"0": "a"}}.
"""

import contextlib
import ipaddress
import json
import socket
import time
from typing import Any

Message = dict[str, Any]

_PAUSE = 0.1
# Time limit for a new connection to send its message.
_MESSAGE_SECONDS = 5


class Missing(Exception):
  """Some processes of the run did not connect; the message names them."""


def wait_for_all(
  address: str, *, process: int, count: int, timeout: float
) -> dict[int, str]:
  """Returns {process: host name} when all processes have connected.

  Args:
    address: "host:port" of process 0.
    process: the number of this process, 0 to count - 1.
    count: number of processes.
    timeout: seconds to wait for the others.

  Raises:
    Missing: some processes did not connect in time. Every process that
      connected raises it.
    ValueError: two processes have the same number, or the address is invalid.
    OSError: process 0 cannot listen at the address.
  """
  place = split(address)
  reply = (
    _join(*place, process, timeout)
    if process
    else _collect(*place, count, timeout)
  )
  if "error" in reply:
    raise ValueError(reply["error"])
  hosts = {int(number): name for number, name in reply["hosts"].items()}
  if missing := sorted(set(range(count)) - hosts.keys()):
    present = ", ".join(f"{each} ({hosts[each]})" for each in sorted(hosts))
    raise Missing(
      f"process{'es' * (len(missing) > 1)} {', '.join(map(str, missing))} of "
      f"{count} did not connect to {address} within {timeout:g} seconds; "
      f"present: {present}. Check the output of the missing processes, and "
      "whether their hosts can reach that address"
    )
  return hosts


def split(address: str) -> tuple[str, int]:
  """Splits "host:port" or "[::1]:port" into ("host", port).

  Raises:
    ValueError: the text has another form.
  """
  host, colon, port = address.rpartition(":")
  if not (host and colon and port.isdecimal()):
    raise ValueError(
      f"the address of process 0 is {address!r}; it must be HOST:PORT"
    )
  return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
  """Whether only this machine can reach a host address."""
  with contextlib.suppress(ValueError):
    return ipaddress.ip_address(host).is_loopback
  return host == "localhost"


def _collect(host: str, port: int, count: int, timeout: float) -> Message:
  """The part of process 0: collects all processes and replies to each."""
  reply = {"hosts": {"0": socket.gethostname()}}
  deadline = time.monotonic() + timeout
  with contextlib.ExitStack() as stack:
    server, connections = stack.enter_context(_listen(host, port)), []
    while "error" not in reply and len(reply["hosts"]) < count:
      server.settimeout(max(deadline - time.monotonic(), 0.001))
      try:
        connection = stack.enter_context(server.accept()[0])
      except TimeoutError:
        break
      message = _read(connection, _MESSAGE_SECONDS) or {}
      if message.keys() == {"process", "host"}:
        connections.append(connection)
        reply |= _add(reply["hosts"], message["process"], message["host"])
    for connection in connections:
      _send(connection, reply)
  return reply


def _add(hosts: dict[str, str], process: int, host: str) -> Message:
  """Adds a process to `hosts`; returns the error if its number is taken."""
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


def _join(host: str, port: int, process: int, timeout: float) -> Message:
  """The part of the other processes: connects to process 0."""
  message = {"process": process, "host": socket.gethostname()}
  deadline = time.monotonic() + timeout
  while (left := deadline - time.monotonic()) > 0:
    with (
      contextlib.suppress(OSError),
      socket.create_connection((host, port), timeout=left) as connection,
    ):
      _send(connection, message)
      # Process 0 may have started its own timeout later.
      if reply := _read(connection, timeout + _MESSAGE_SECONDS):
        return reply
    time.sleep(_PAUSE)
  return {"hosts": {str(process): message["host"]}}


def _send(connection: socket.socket, value: Message) -> None:
  with contextlib.suppress(OSError):  # the process has closed the connection
    connection.sendall(json.dumps(value).encode() + b"\n")


def _read(connection: socket.socket, timeout: float) -> Message | None:
  """Reads one line of JSON; None if a client sends anything else or nothing."""
  connection.settimeout(timeout)
  with contextlib.suppress(OSError, ValueError), connection.makefile() as file:
    value = json.loads(file.readline(1 << 20))
    return value if isinstance(value, dict) else None
  return None
