"""Where published files keep the arrays of each network."""

__all__ = ["bit", "convnets", "mixer", "vit"]
