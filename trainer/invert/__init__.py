"""Photographs of one person become an avatar."""
