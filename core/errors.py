"""The errors a user can meet. Each carries one line that names what is wrong and, where there is one, what to do about it."""

from __future__ import annotations


class AgoraError(Exception):
    """A failure that is explained to the user in one line.

    Args:
        message: names the file or setting and the reason.
        hint: what the user can do about it; empty when there is nothing.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InputError(AgoraError):
    """A file or value given by the user cannot be used."""


class OutputError(AgoraError):
    """A result cannot be written (unwritable folder, full disk, bad extension)."""


class AssetError(AgoraError):
    """A third-party file needed at run time is missing, damaged or cannot be fetched."""


class PackError(InputError):
    """An avatar pack is damaged, unsafe or of an unknown version."""


class HeadModelError(InputError):
    """A head model file is not what it should be."""


class DeviceError(AgoraError):
    """A camera, GPU, codec or virtual device is missing or refuses to work."""
