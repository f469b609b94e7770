"""What export and import know and do, without widgets."""
