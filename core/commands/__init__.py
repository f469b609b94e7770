"""The run-time commands: one module each, with its `Options` and `run`. Imports are light; the work imports what it needs."""
