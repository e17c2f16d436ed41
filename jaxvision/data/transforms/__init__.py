"""Transforms of images: on the host one by one, on the device by batches."""

__all__ = ["device", "host"]
