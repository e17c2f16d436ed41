"""Tests of jaxvision.plan.topology: devices that this machine lacks."""

import importlib.metadata
import importlib.util

import jax
import pytest

from jaxvision.plan import topology


@pytest.fixture(autouse=True, scope="module")
def _started():
  """Plans start jax with the devices that they need; the tests have eight."""
  assert len(jax.devices()) == 8


@pytest.mark.parametrize(
  ("name", "expected"),
  [
    ("v5e:16x16", ("v5e", 1, "16x16")),
    ("2xv6e:4x4", ("v6e", 2, "4x4")),
    ("v5p:2x2x2", ("v5p", 1, "2x2x2")),
    ("cpu:8", ("cpu", 1, "8")),
  ],
)
def test_topologies_are_parsed(name, expected):
  assert topology.parse(name) == expected


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("v5:4x4", "unknown kind of topology 'v5'; did you mean"),
    ("", "unknown kind of topology ''"),
    ("gpu:8", "write v5e:4x4 for 16 chips, cpu:8 for 8 devices"),
    ("v5e:16", "'v5e:16': give a shape with 2 sides, as v5e:4x4"),
    ("v5e:4x0", "'v5e:4x0': give a shape with 2 sides"),
    ("v5p:4x4", "'v5p:4x4': give a shape with 3 sides, as v5p:2x2x2"),
    ("v5e", "'v5e': give a shape with 2 sides"),
    ("cpu:eight", "'cpu:eight': give a shape with 1 sides, as cpu:8"),
    ("2xcpu:8", "'2xcpu:8': give a shape with 1 sides"),
    ("cpu:800", "cpu:800 needs 800 CPU devices, but jax has started"),
  ],
)
def test_others_are_explained(name, message):
  with pytest.raises(ValueError, match=message):
    topology.devices(name)


def test_devices_of_the_cpu():
  assert [d.platform for d in topology.devices("cpu:4")] == ["cpu"] * 4


def _pin(monkeypatch, *, jax="libtpu==0.0.42.*; extra == 'tpu'", libtpu=None):
  spec = importlib.util.find_spec("json") if libtpu else None
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
  monkeypatch.setattr(importlib.metadata, "requires", lambda name: [jax])
  monkeypatch.setattr(importlib.metadata, "version", lambda name: libtpu or "1")


def test_without_libtpu_the_remedy_is_told(monkeypatch):
  _pin(monkeypatch)
  with pytest.raises(ValueError, match=r"pip install 'libtpu==0\.0\.42\.\*'"):
    topology.devices("v5e:4x4")


def test_another_libtpu_than_that_of_jax_is_refused(monkeypatch):
  _pin(monkeypatch, libtpu="0.0.52")
  with pytest.raises(ValueError, match=r"libtpu 0\.0\.52 is installed, but"):
    topology.devices("v5e:4x4")
  _pin(monkeypatch, libtpu="0.0.42.1")
  assert topology.version() == "0.0.42.1"


def test_the_remedy_names_the_version_that_jax_pins(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ValueError, match=r"pip install 'libtpu==\d+\.\d+\.\d+"):
    topology.version()


@pytest.mark.slow
def test_shapes_that_no_slice_has_are_explained():
  pytest.importorskip("libtpu", reason="needs libtpu: the extra tpu-plan")
  with pytest.raises(
    ValueError, match="libtpu does not know the topology 'v5e:3x3'"
  ):
    topology.devices("v5e:3x3")
  assert len(topology.devices("v5e:4x4")) == 16
  assert {d.slice_index for d in topology.devices("2xv5e:2x2")} == {0, 1}
