"""Checkpoints are read without running anything from them."""

from __future__ import annotations

import io
import pickle

import pytest
import torch

from core.errors import InputError
from trainer.official_checkpoint import read_official_checkpoint


class Payload:
    """Creates a file when it is unpickled the ordinary way."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def write(path, content):
    path.write_bytes(pickle.dumps(content, protocol=4))
    return path


@pytest.mark.parametrize("make", [
    lambda canary: Payload(open, str(canary), "w"),
    lambda canary: Payload(exec, f"open({str(canary)!r}, 'w')"),
    lambda canary: Payload(eval, f"open({str(canary)!r}, 'w')"),
    lambda canary: Payload(__import__("os").system, f"touch {canary}"),
    lambda canary: Payload(getattr, Payload(__import__, "os"), "system"),
], ids=["open", "exec", "eval", "system", "getattr"])
def test_nothing_is_executed(tmp_path, make):
    canary = tmp_path / "canary"
    file = write(tmp_path / "evil.pkl", {"G_ema": make(canary), "G": None})
    with pytest.raises(InputError, match="no generator"):
        read_official_checkpoint(file)
    assert not canary.exists()


def test_code_inside_a_storage_is_refused(tmp_path):
    canary = tmp_path / "canary"
    inner = io.BytesIO()
    torch.save(Payload(open, str(canary), "w"), inner)
    file = write(tmp_path / "evil.pkl", {"G_ema": Payload(torch.storage._load_from_bytes, inner.getvalue())})
    with pytest.raises(InputError):
        read_official_checkpoint(file)
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"G": 3})])
def test_damage_is_said_in_one_line(tmp_path, content):
    file = tmp_path / "bad.pkl"
    file.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_official_checkpoint(file)
    assert str(file) in error.value.message
    assert "\n" not in str(error.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_official_checkpoint(tmp_path / "absent.pkl")
