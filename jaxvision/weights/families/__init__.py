"""Layouts of published weight files, by family of networks."""

__all__ = ["bit", "convnets", "efficientnet", "mixer", "vit"]
