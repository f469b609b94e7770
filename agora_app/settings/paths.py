"""Where the window keeps things: settings, its own geometry, its log."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSettings

from core.assets import data_folder

LAYOUT_VERSION = 1  # raise it when docks or tool bars are renamed: older layouts are dropped then
_VERSION_KEY = "layout_version"


def settings_path() -> Path:
    """The settings file."""
    return data_folder() / "settings.json"


def log_folder() -> Path:
    """The folder of the log files."""
    return data_folder() / "logs"


def window_state() -> QSettings:
    """Geometry and layout of windows, as Qt writes them. Empty when it comes from another layout version."""
    kept = QSettings(str(data_folder() / "window.ini"), QSettings.Format.IniFormat)
    if kept.value(_VERSION_KEY, type=int) != LAYOUT_VERSION:
        kept.clear()
        kept.setValue(_VERSION_KEY, LAYOUT_VERSION)
    return kept
