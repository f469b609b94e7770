"""Reading a command's arguments. A mistake is one line, as every other error."""

from __future__ import annotations

import contextlib
import io
import os
from typing import TypeVar

import tyro

from core.errors import InputError

Options = TypeVar("Options")
_FRAME = "╭╮╰╯│─ \n"
_WIDE = "1000"  # columns: so that tyro does not break its messages into lines


def parse_arguments(options: type[Options], command: str, arguments: list[str]) -> Options:
    """Arguments of a command as its `Options`.

    Raises:
        InputError: they are wrong.
        SystemExit: the help was asked for and has been shown.
    """
    if {"-h", "--help"} & set(arguments):
        return tyro.cli(options, prog=f"main.py {command}", args=arguments)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), _columns(_WIDE):
            return tyro.cli(options, prog=f"main.py {command}", args=arguments)
    except SystemExit as stop:
        raise InputError(_in_one_line(said.getvalue()), f"see main.py {command} --help") from stop


@contextlib.contextmanager
def _columns(count: str):
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = count
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _in_one_line(box: str) -> str:
    """The message inside tyro's box of several lines, up to its rule."""
    words = []
    for line in box.splitlines():
        if line.startswith(("╭", "╰")):
            continue
        text = line.strip(_FRAME)
        if not text and words:
            break
        words.append(text)
    message = " ".join(word for word in words if word)
    return message[:1].lower() + message[1:] if message else "the arguments cannot be understood"
