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


# ------------------------------------------------------------------------------------------------- malicious files


def checkpoint_of(value: bytes) -> bytes:
    """A checkpoint whose generator is made by these instructions."""
    return b"\x80\x04}(X\x05\x00\x00\x00G_ema" + value + b"u."


def text(word: str) -> bytes:
    raw = word.encode()
    return b"X" + len(raw).to_bytes(4, "little") + raw


def command(canary) -> str:
    return f"import pathlib; pathlib.Path({str(canary)!r}).touch()"


CALLS = {
    "os.system": ("os", "system", lambda c: f"touch {c}"),
    "posix.system": ("posix", "system", lambda c: f"touch {c}"),
    "nt.system": ("nt", "system", lambda c: f"touch {c}"),
    "exec": ("builtins", "exec", command),
    "old exec": ("__builtin__", "exec", command),
    "eval": ("builtins", "eval", lambda c: f"open({str(c)!r}, 'w')"),
    "compile": ("builtins", "compile", command),
    "import": ("builtins", "__import__", lambda c: "antigravity"),
    "popen": ("subprocess", "getoutput", lambda c: f"touch {c}"),
    "runpy": ("runpy", "run_path", str),
    "torch.load": ("torch", "load", str),
    "torch.hub": ("torch.hub", "load", str),
    "hidden loader": ("torch.serialization", "load", str),
    "typed name": ("torch._utils", "__builtins__", command),
    "dotted name": ("torch._utils", "sys.modules", command),
    "numpy exec": ("numpy.testing._private.utils", "runstring", command),
    "pathlib": ("pathlib", "Path.touch", str),
    "touch by name": ("pathlib", "PosixPath", str),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_inert(tmp_path, name):
    canary = tmp_path / "canary"
    module, function, argument = CALLS[name]
    word = argument(canary)
    (tmp_path / "payload.py").write_text(command(canary))
    call = f"c{module}\n{function}\n(".encode() + text(word) + b"tR"
    by_stack = b"\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes([len(function)]) + function.encode() \
        + b"\x93" + text(word) + b"\x85R"
    instance = b"(" + text(word) + f"i{module}\n{function}\n".encode()
    new = f"c{module}\n{function}\n".encode() + text(word) + b"\x85\x81"
    new_with_names = f"c{module}\n{function}\n".encode() + text(word) + b"\x85}\x92"
    made_object = f"(c{module}\n{function}\n".encode() + text(word) + b"o"
    for number, value in enumerate((call, by_stack, instance, new, new_with_names, made_object)):
        file = tmp_path / f"evil{number}.pkl"
        file.write_bytes(checkpoint_of(value))
        with pytest.raises(InputError):
            read_official_checkpoint(file)
        assert not canary.exists(), (name, number)


@pytest.mark.parametrize("value", [
    b"cbuiltins\ngetattr\n(ccollections\nOrderedDict\nX\x0b\x00\x00\x00__globals__tR",  # stays a stand-in
    b"ccollections\nOrderedDict\n}X\x06\x00\x00\x00updatecbuiltins\neval\nsb",  # a state for a real class
    b"ctorch._utils\n_rebuild_parameter\n}X\x08\x00\x00\x00__code__K\x01sb",  # a state for a function of ours
    b"cnumpy\ndtype\n(X\x01\x00\x00\x00OtR",  # objects instead of numbers
    b"cnumpy\ndtype\n(X\x02\x00\x00\x00<OtR",
    b"cnumpy\ndtype\n(X\x0d\x00\x00\x00f8,(99999999)tR",
    b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(X\x02\x00\x00\x00f8tRC\x01xtR",  # a number without enough bytes
    b"Pwhatever\n",  # something outside the file
    b"X\x01\x00\x00\x00xQ",
    b"\x82\x01", b"\x83\x01\x02", b"\x84\x01\x02\x03\x04",  # registered extensions
    b"\x97", b"\x98",  # buffers outside the file
    b"0000", b"1", b"2", b"h\x63", b"j\xff\xff\xff\x7f", b"R", b"b", b"s", b"u", b"a", b"t", b"\x81", b"\x93",  # an empty stack
    b"c\n\n", b"i\n\n", b"K", b"\x8a\xff", b"\x8b\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\xff",
    b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",  # lengths that nobody has
    b"\x96\x00\x00\x00\x00\x00\x01\x00\x00", b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f", b"B\xff\xff\xff\x7f", b"T\xff\xff\xff\x7f",
    b"I" + b"9" * 50_000 + b"\n", b"L" + b"9" * 50_000 + b"L\n", b"F1e\n", b"Sbad\n",
])
def test_abuse_of_the_machine_is_refused(tmp_path, value):
    file = tmp_path / "evil.pkl"
    file.write_bytes(checkpoint_of(value))
    with pytest.raises(InputError) as error:
        read_official_checkpoint(file)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def persistent(state: bytes, source: str = "") -> bytes:
    """A persistent object of the release with a state."""
    return (b"ceg3d.torch_utils.persistence\n_reconstruct_persistent_obj\n(}(" + text("type") + text("class") + text("module_src")
            + text(source) + text("state") + state + b"utR")


def test_source_text_is_never_looked_at(tmp_path):
    canary = tmp_path / "canary"
    file = tmp_path / "evil.pkl"
    file.write_bytes(checkpoint_of(persistent(b"}", command(canary))))
    with pytest.raises(InputError, match="no generator"):
        read_official_checkpoint(file)
    assert not canary.exists()


def stored(content: bytes) -> bytes:
    return b"ctorch.storage\n_load_from_bytes\n(B" + len(content).to_bytes(4, "little") + content + b"tR"


def rebuilt(storage: bytes, offset: int, size: tuple, stride: tuple) -> bytes:
    numbers = b"".join(pickle.dumps(part, protocol=0)[:-1] for part in (offset, size, stride))
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + numbers + b"tR"


def honest_storage(count: int = 16) -> bytes:
    buffer = io.BytesIO()
    storage = torch.storage.TypedStorage(wrap_storage=torch.arange(count).float().untyped_storage(), dtype=torch.float32,
                                         _internal=True)
    torch.save(storage, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def module_with(tensor: bytes) -> bytes:
    return persistent(b"}(" + text("_buffers") + b"}" + text("x") + tensor + b"su")


def test_an_honest_tensor_is_read(tmp_path):
    file = tmp_path / "good.pkl"
    file.write_bytes(checkpoint_of(module_with(rebuilt(stored(honest_storage()), 2, (3, 4), (4, 1)))))
    value = read_official_checkpoint(file).states["G_ema"]["x"]
    assert value.tolist() == [[2, 3, 4, 5], [6, 7, 8, 9], [10, 11, 12, 13]]


@pytest.mark.parametrize(("offset", "size", "stride"), [
    (0, (17,), (1,)), (8, (3, 4), (4, 1)), (0, (1 << 40,), (0,)), (0, (4, 4, 1 << 30), (4, 1, 0)), (-1, (4,), (1,)),
    (0, (-4,), (1,)), (0, (4,), (-1,)), (0, (4, 4), (1,)), (0, (1,) * 9, (1,) * 9), (1 << 62, (1,), (1,)), (0, (2.0,), (1,))])
def test_tensors_beyond_their_storage_are_refused(tmp_path, offset, size, stride):
    """Torch would make the storage larger, or show one number terabytes long."""
    file = tmp_path / "evil.pkl"
    file.write_bytes(checkpoint_of(module_with(rebuilt(stored(honest_storage()), offset, size, stride))))
    with pytest.raises(InputError, match="refused, a tensor"):
        read_official_checkpoint(file)


@pytest.mark.parametrize("format_", ["old", "new"])
def test_pickles_inside_storages_run_nothing(tmp_path, format_):
    canary = tmp_path / "canary"
    payloads = (Payload(open, str(canary), "w"), {"a": Payload(exec, command(canary))},
                Payload(eval, f"open({str(canary)!r}, 'w')"))
    for payload in payloads:
        inner = io.BytesIO()
        torch.save(payload, inner, _use_new_zipfile_serialization=format_ == "new")
        for value in (stored(inner.getvalue()), stored(pickle.dumps(payload)), stored(stored(inner.getvalue()))):
            file = tmp_path / "evil.pkl"
            file.write_bytes(checkpoint_of(module_with(rebuilt(value, 0, (1,), (1,)))))
            with pytest.raises(InputError):
                read_official_checkpoint(file)
            assert not canary.exists()


def test_a_scripted_module_in_a_storage_is_refused(tmp_path):
    inner = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), inner)
    file = tmp_path / "evil.pkl"
    file.write_bytes(checkpoint_of(module_with(rebuilt(stored(inner.getvalue()), 0, (1,), (1,)))))
    with pytest.raises(InputError):
        read_official_checkpoint(file)


def test_a_storage_that_claims_more_than_it_has_is_refused(tmp_path):
    content = honest_storage(16)
    claimed = content.replace(b"K\x10", b"\x8a\x05\x00\x00\x00\x00\x10", 1)  # 2^36 numbers
    assert claimed != content
    file = tmp_path / "evil.pkl"
    file.write_bytes(checkpoint_of(module_with(rebuilt(stored(claimed), 0, (1,), (1,)))))
    with pytest.raises(InputError):
        read_official_checkpoint(file)


def modules(pairs: bytes) -> bytes:
    return b"}(" + text("_modules") + b"}(" + pairs + b"uu"


def test_modules_without_end_are_refused(tmp_path):
    file = tmp_path / "evil.pkl"
    laughs = persistent(b"}")
    for _ in range(60):  # every level holds the one below twice: 2^60 in all
        laughs = persistent(modules(text("a") + laughs + b"q\x01" + text("b") + b"h\x01"))
    file.write_bytes(checkpoint_of(laughs))
    with pytest.raises(InputError, match="without end"):
        read_official_checkpoint(file)
    inside_itself = (b"ceg3d.torch_utils.persistence\n_reconstruct_persistent_obj\n(}q\x01" + text("state") + b"}q\x02s"
                     + b"tRq\x030h\x02(" + text("_modules") + b"}" + text("me") + b"h\x03su0h\x03")
    file.write_bytes(checkpoint_of(inside_itself))
    with pytest.raises(InputError, match="without end"):
        read_official_checkpoint(file)


def test_deep_nesting_ends_in_one_line(tmp_path):
    file = tmp_path / "evil.pkl"
    file.write_bytes(checkpoint_of(b"(" * 200_000 + b"t" * 200_000))
    with pytest.raises(InputError):
        read_official_checkpoint(file)


@pytest.mark.parametrize("name", ["../../../../tmp/canary", "/etc/passwd", "C:\\canary", "a\x00b", "x" * 5000, "__class__",
                                  "\x1b[31m"])
def test_names_like_paths_are_names(tmp_path, name):
    tensor = rebuilt(stored(honest_storage()), 0, (2,), (1,))
    file = tmp_path / "odd.pkl"
    file.write_bytes(checkpoint_of(persistent(b"}(" + text("_buffers") + b"}" + text(name) + tensor + b"su")))
    before = set(tmp_path.iterdir())
    assert set(read_official_checkpoint(file).states["G_ema"]) == {name}
    assert set(tmp_path.iterdir()) == before
