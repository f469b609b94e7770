"""The motion journal: comes back as it was, up to wherever the process was killed, and no file can do harm."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.errors import InputError
from core.head.library import load_open_head
from core.pipeline.live.motion_journal import JournalAbout, MotionJournal, read_journal
from core.tracking.motion_clip import read_motion, write_motion
from core.types import HeadParams, TrackState

NAMES = tuple(load_open_head().expression_names)
ABOUT = JournalAbout(NAMES, "ab" * 32, (1280, 720), (0.25, -1.5))


def params(generator, scores=True, state=TrackState.TRACKED):
    count = len(NAMES)
    values = [generator.standard_normal(n).astype(np.float32) for n in (count, 3, 3, 3, 3, 3)]
    return HeadParams(*values, shape=np.array(ABOUT.shape, np.float32), state=state, residual=0.01,
                      scores=generator.random(52).astype(np.float32) if scores else np.zeros(0, np.float32))


def journal_of(path, motion):
    journal = MotionJournal(path, ABOUT)
    for index, one in enumerate(motion):
        journal.append(one, index * 33_000_000)
    journal.close()
    return path


@pytest.fixture
def motion(generator):
    return [params(generator, index % 4 > 0, list(TrackState)[index % 4]) for index in range(20)]


def test_motion_comes_back_as_it_was(tmp_path, motion):
    clip = read_journal(journal_of(tmp_path / "j", motion))
    assert (clip.expression_names, clip.head_sha256, clip.source_size) == (NAMES, "ab" * 32, (1280, 720))
    for index, (found, sent) in enumerate(zip(clip.params, motion, strict=True)):
        assert found.time_ns == index * 33_000_000
        assert found.state is sent.state
        for field in dataclasses.fields(HeadParams):
            if field.type == "FloatArray":
                np.testing.assert_array_equal(getattr(found, field.name), getattr(sent, field.name))


def test_a_motion_clip_is_made_of_it(tmp_path, motion):
    write_motion(tmp_path / "m.npz", read_journal(journal_of(tmp_path / "j", motion)))
    clip = read_motion(tmp_path / "m.npz")
    assert len(clip) == 20
    np.testing.assert_array_equal(clip.params[7].psi(), motion[7].psi())


def test_every_torn_end_keeps_all_whole_records(tmp_path, motion):
    content = journal_of(tmp_path / "j", motion).read_bytes()
    empty = journal_of(tmp_path / "e", []).read_bytes()
    size = (len(content) - len(empty)) // 20
    for cut in range(len(empty), len(content), 37):
        (tmp_path / "torn").write_bytes(content[:cut])
        whole = (cut - len(empty)) // size
        if whole:
            assert len(read_journal(tmp_path / "torn")) == whole
        else:
            with pytest.raises(InputError):
                read_journal(tmp_path / "torn")


def test_what_was_flushed_is_there_before_closing(tmp_path, motion):
    journal = MotionJournal(tmp_path / "j", ABOUT)
    journal.append(motion[0], 0)
    journal.flush()
    journal.append(motion[1], 1)
    assert len(read_journal(tmp_path / "j")) == 1
    journal.close()
    assert len(read_journal(tmp_path / "j")) == 2


def test_a_changed_byte_ends_the_motion_there(tmp_path, motion):
    path = journal_of(tmp_path / "j", motion)
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 1
    path.write_bytes(content)
    assert 0 < len(read_journal(path)) < 20


@pytest.mark.parametrize("content", [b"", b"AGORAMJ1", b"AGORAMJ1\xff\xff\xff\xff{}", b"PK\x03\x04 a zip file",
                                     b"AGORAMJ1\x02\x00\x00\x00{}\x00\x00\x00\x00"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(InputError, match="j"):
        read_journal(tmp_path / "j")


def test_random_damage_is_an_error_or_a_shorter_motion(tmp_path, motion, generator):
    good = journal_of(tmp_path / "j", motion).read_bytes()
    for _ in range(200):
        content = bytearray(good)
        for place in generator.integers(0, len(content), 3):
            content[place] = generator.integers(256)
        (tmp_path / "d").write_bytes(content[:generator.integers(1, len(content))])
        try:
            assert len(read_journal(tmp_path / "d")) <= 20
        except InputError:
            continue


def test_a_journal_is_not_overwritten(tmp_path, motion):
    path = journal_of(tmp_path / "j", motion)
    with pytest.raises(FileExistsError):
        MotionJournal(path, ABOUT)
