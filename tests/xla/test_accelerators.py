"""Peak FLOP/s of devices, against the data sheets in other units."""

import pytest

from jaxvision.xla import accelerators


def test_mfu_of_a_known_run():
  """ResNet-50, 4.1 GMACs, at 2,500 images/s on an A100: 20 % of 312 TFLOP/s."""
  peak = accelerators.peak_images_per_second(
    "NVIDIA A100-SXM4-80GB", devices=1, flops_per_image=8.2e9
  )
  assert 2500 / peak == pytest.approx(2500 * 24.6e9 / 312e12)


def test_devices_add_up_and_a_given_peak_wins():
  one, eight = (
    accelerators.peak_images_per_second(
      "TPU v4", devices=devices, flops_per_image=1e9
    )
    for devices in (1, 8)
  )
  assert eight == 8 * one
  given = accelerators.peak_images_per_second(
    "TPU v4", devices=1, flops_per_image=1e9, peak_flops=6e12
  )
  assert given == 2000


def test_a_cpu_has_no_known_peak():
  known = accelerators.peak_images_per_second(
    "cpu", devices=8, flops_per_image=1e9
  )
  assert known is None


def test_a_chip_is_all_its_cores():
  """Google: 46, 123, 275, 197, 459 and 918 TFLOP/s a chip."""
  cores = {"TPU v2": 2, "TPU v3": 2}
  chips = {
    "TPU v2": 45e12,
    "TPU v3": 123e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
  }
  for kind, flops in chips.items():
    assert accelerators.PEAK_FLOPS[kind] * cores.get(kind, 1) == flops
