"""Transforms: of single images on the host, and of batches on the device."""

__all__ = ["device", "host"]
