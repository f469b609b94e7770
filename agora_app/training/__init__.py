"""The training wizard and its monitor."""
