"""The gallery of people."""
