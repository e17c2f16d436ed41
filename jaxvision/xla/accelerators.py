"""Peak FLOP/s and memory of accelerators, by jax's `device_kind`.

The peak is for dense products of bfloat16 (float16 on devices without it) with
float32 accumulation, in FLOP/s per jax device, from the data sheets of the
vendors, without sparsity. A jax device of TPU v2 and v3 is one core of two.
"""

PEAK_FLOPS = {
  "TPU v2": 22.5e12,
  "TPU v3": 61.5e12,
  "TPU v4": 275e12,
  "TPU v5 lite": 197e12,
  "TPU v5": 459e12,
  "TPU v5p": 459e12,
  "TPU v6 lite": 918e12,
  "Tesla V100-SXM2-16GB": 125e12,
  "Tesla V100-SXM2-32GB": 125e12,
  "Tesla T4": 65e12,
  "NVIDIA A10G": 70e12,
  "NVIDIA L4": 121e12,
  "NVIDIA A100-SXM4-40GB": 312e12,
  "NVIDIA A100-SXM4-80GB": 312e12,
  "NVIDIA A100-PCIE-40GB": 312e12,
  "NVIDIA A100 80GB PCIe": 312e12,
  "NVIDIA H100 PCIe": 756e12,
  "NVIDIA H100 80GB HBM3": 989e12,
  "NVIDIA H200": 989e12,
  "NVIDIA B200": 2250e12,
}

# Memory of one jax device that libtpu gives to a program, in bytes.
MEMORY_BYTES = {
  "TPU v5 lite": int(15.75 * 2**30),
  "TPU v5": int(95.74 * 2**30),
  "TPU v6 lite": int(31.25 * 2**30),
}


def peak_images_per_second(
  kind: str, *, devices: int, flops_per_image: float, peak_flops: float = 0.0
) -> float | None:
  """Training speed (images per second) at the peak of the devices.

  A step counts as three forward passes: the gradients of the inputs and of the
  parameters cost one each. Recomputation is not counted. The measured speed
  divided by this one is the MFU of Chowdhery et al. 2022 (PaLM), appendix B.

  Args:
    kind: `device_kind` of a jax device.
    devices: number of devices.
    flops_per_image: FLOPs of a forward pass; a multiply-accumulate is two.
    peak_flops: FLOP/s of one device; 0 for that of its kind.

  Returns:
    Images per second; None if the peak of this kind is unknown.
  """
  peak = peak_flops or PEAK_FLOPS.get(kind)
  return peak * devices / (3 * flops_per_image) if peak else None
