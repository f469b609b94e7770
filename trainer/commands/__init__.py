"""The training commands, one module each: its options as a dataclass, and what it does."""
