"""What the devices are capable of, by the kind that jax calls them.

The peak: dense multiplications of bfloat16 (float16 where there is none) with
float32 sums, FLOP/s of one jax device, from the makers' data sheets: without
sparsity, and of a TPU v2 or v3 one of the two cores of its chip.
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

# What libtpu lets a program have of the memory of one jax device, in bytes.
MEMORY_BYTES = {
  "TPU v5 lite": int(15.75 * 2**30),
  "TPU v5": int(95.74 * 2**30),
  "TPU v6 lite": int(31.25 * 2**30),
}


def peak_images_per_second(
  kind: str, *, devices: int, flops_per_image: float, peak_flops: float = 0.0
) -> float | None:
  """How many images a second the devices could train on, at their peak.

  A step is counted as three forward passes: the gradients of inputs and of
  parameters cost one each. What is computed again to save memory is not
  counted, so that a speed over this one is the MFU of Chowdhery et al. 2022
  (PaLM), appendix B.

  Args:
    kind: `device_kind` of a jax device.
    devices: how many share the work.
    flops_per_image: of a forward pass, a multiplication and an addition two.
    peak_flops: of one device, FLOP/s; 0 looks it up.

  Returns:
    None if the peak of this kind is not known.
  """
  peak = peak_flops or PEAK_FLOPS.get(kind)
  return peak * devices / (3 * flops_per_image) if peak else None
