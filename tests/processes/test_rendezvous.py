"""Processes that wait for each other: threads with real sockets."""

import concurrent.futures
import socket

import pytest

from jaxvision.processes import rendezvous


@pytest.fixture
def address():
  """An address without a listener."""
  with socket.create_server(("127.0.0.1", 0)) as free:
    return f"127.0.0.1:{free.getsockname()[1]}"


def _answers(address, processes, *, count, timeout):
  """The result or the error of each process."""

  def one(process):
    try:
      return rendezvous.wait_for_all(
        address, process=process, count=count, timeout=timeout
      )
    except Exception as error:
      return error

  with concurrent.futures.ThreadPoolExecutor(len(processes)) as pool:
    return list(pool.map(one, processes))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_all_processes_get_all_hosts_and_the_port_is_free(address, order):
  host = socket.gethostname()
  answers = _answers(address, order, count=3, timeout=30)
  assert answers == [{0: host, 1: host, 2: host}] * 3
  socket.create_server(rendezvous.split(address)).close()


def test_every_process_reports_the_missing_processes(address):
  answers = _answers(address, (0, 2), count=5, timeout=0.5)
  host = socket.gethostname()
  for error in answers:
    assert isinstance(error, rendezvous.Missing)
    assert "processes 1, 3, 4 of 5 did not connect" in str(error)
    assert f"within 0.5 seconds; present: 0 ({host}), 2 ({host})" in str(error)


def test_where_nobody_listens_process_0_is_missing(address):
  (error,) = _answers(address, (1,), count=2, timeout=0.5)
  assert isinstance(error, rendezvous.Missing)
  assert f"process 0 of 2 did not connect to {address}" in str(error)


def test_two_processes_with_one_number_are_an_error(address):
  for error in _answers(address, (0, 1, 1), count=3, timeout=30):
    assert isinstance(error, ValueError)
    assert "two processes have the number 1" in str(error)


def test_other_clients_are_ignored(address):
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    first = pool.submit(
      rendezvous.wait_for_all, address, process=0, count=2, timeout=30
    )
    place = rendezvous.split(address)
    for said in (b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b""):
      with _connect(place) as stranger:
        stranger.sendall(said)
    rendezvous.wait_for_all(address, process=1, count=2, timeout=30)
    assert first.result().keys() == {0, 1}


def _connect(place):
  while True:
    try:
      return socket.create_connection(place)
    except ConnectionRefusedError:
      continue


@pytest.mark.parametrize("address", ["nowhere", "host:", ":5", "host:http"])
def test_an_address_is_a_host_and_a_port(address):
  with pytest.raises(ValueError, match="must be HOST:PORT"):
    rendezvous.split(address)


def test_addresses_of_both_kinds():
  assert rendezvous.split("pod-0.svc:1234") == ("pod-0.svc", 1234)
  assert rendezvous.split("[::1]:1234") == ("::1", 1234)


@pytest.mark.parametrize(
  "host, alone",
  [
    ("127.0.0.1", True),
    ("::1", True),
    ("localhost", True),
    ("10.0.0.1", False),
    ("host", False),
  ],
)
def test_loopback_addresses(host, alone):
  assert rendezvous.is_loopback(host) == alone
