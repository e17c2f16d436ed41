"""The compiler: its settings and cache, scans, batched initialisation."""

__all__ = ["accelerators", "batched_init", "cache", "scans", "settings"]
