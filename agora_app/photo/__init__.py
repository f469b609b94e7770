"""A new person from photographs."""
