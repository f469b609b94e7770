from __future__ import annotations

import functools

import pytest

from core.avatar.pack import read_pack
from core.head.library import load_open_head
from trainer import cli, studio_teacher


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["--out", "{folder}/missing/x.agora"], "does not exist"),
    (["--out", "{folder}/x.zip"], "ends in .agora"),
    (["--out", "{folder}/x.agora", "--components", "0"], "--components"),
    (["--out", "{folder}/x.agora", "--samples", "many"], "samples"),
    (["--out", "{folder}/x.agora", "--run", "nowhere"], "no run 'nowhere'"),
    ([], "--out"),
])
def test_bad_arguments_are_one_line_and_leave_nothing(arguments, complaint, tmp_path, capsys):
    assert cli.main(["distill", *(word.format(folder=tmp_path) for word in arguments)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert complaint in lines[0]
    assert [line.split(":")[0] for line in lines] in (["error"], ["error", "hint"])
    assert not any(tmp_path.iterdir())


def test_a_small_studio_pack(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(studio_teacher, "StudioTeacher", functools.partial(studio_teacher.StudioTeacher, weight_people=0))
    out = tmp_path / "small.agora"
    small = ["--components", "16", "--samples", "200", "--epochs", "1", "--people", "0", "--no-check"]
    assert cli.main(["distill", "--out", str(out), *small]) == 0
    assert "K = 16/12/10/10" in capsys.readouterr().out
    manifest = read_pack(out).manifest
    head = load_open_head()
    assert (manifest.kind, manifest.head_sha256, manifest.psi) == ("studio", head.sha256, head.psi_layout)
    assert [path.name for path in tmp_path.iterdir()] == ["small.agora"]
