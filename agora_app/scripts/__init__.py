"""Scripted sessions: measured runs and pictures of the window."""
