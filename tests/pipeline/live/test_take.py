"""Takes on disk: listed, checked, renamed, recovered, and put where there is room."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from core.errors import InputError, OutputError
from core.pipeline.live import take_folder
from core.pipeline.live.take import (
    Marker,
    Owner,
    Sidecar,
    TakeAbout,
    check_take,
    list_takes,
    read_sidecar,
    read_take,
    rename_take,
    safe_name,
    take_name,
    thumbnail,
    write_sidecar,
)
from core.pipeline.live.take_folder import DiskGuard, default_folder, reserve_name, spare_folder, usable_folder
from core.pipeline.live.take_recovery import discard_take, find_unfinished_takes, recover_take, settle_journals
from tests.pipeline.live.takes import abandoned, finished, record

STARTED = datetime(2026, 11, 26, 14, 3, 22, tzinfo=timezone.utc)


# --------------------------------------------------------------------------------------------------------------- sidecars


def test_a_sidecar_comes_back(tmp_path):
    about = TakeAbout("7+42@0.5", "Studio", "ff", "0.2", "square", "green", "alpha", "mic", "cam", (0.5, -1.0))
    sidecar = Sidecar("a.mp4", STARTED, about, 12.5, 300, 2, 512, 512, (Marker(1.5, "lächeln"),), ("note",), True,
                      Owner("here", 12, 3.5))
    write_sidecar(tmp_path / "a.json", sidecar)
    assert read_sidecar(tmp_path / "a.json") == sidecar


@pytest.mark.parametrize("change", [
    {"version": 99}, {"version": "1"}, {"format": "other"}, {"video": "../../etc/passwd"}, {"markers": [1]}, {"about": None},
    {"started": "yesterday"}, {"seconds": "long"}, {"owner": {"pid": 1}}, {"about": {"person": 7}},
])
def test_a_sidecar_that_is_not_right_is_refused(tmp_path, change):
    path = tmp_path / "a.json"
    write_sidecar(path, Sidecar("a.mp4", STARTED))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=r"a\.json"):
        read_sidecar(path)


def test_names_are_safe_on_every_system():
    assert take_name(STARTED, "7") == "2026-11-26 14.03.22 seed 7"
    assert take_name(STARTED, "7+42@0.5") == "2026-11-26 14.03.22 seed 7+42@0.5"
    assert take_name(STARTED, 'Anna: <"the\\best">|?*') == "2026-11-26 14.03.22 Anna_ __the_best_____"
    assert safe_name("  ..hidden.. ") == "hidden"
    assert len(safe_name("ü" * 500)) == 80


# ------------------------------------------------------------------------------------------------------------------ takes


def test_takes_are_listed_newest_first_and_nothing_else(tmp_path):
    first, second = finished(tmp_path), finished(tmp_path, person="42")
    abandoned(tmp_path)
    (tmp_path / "holiday.mp4").write_bytes(b"a video of the user's")
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "broken.json").write_text("{")
    assert {take.name for take in list_takes(tmp_path)} == {first.name, second.name}
    assert list_takes(tmp_path / "nowhere") == []
    assert list_takes(tmp_path)[0].started >= list_takes(tmp_path)[1].started


def test_a_take_is_checked(tmp_path):
    take = finished(tmp_path)
    assert check_take(take) == []
    take.motion.write_bytes(b"damaged")
    take.video.write_bytes(take.video.read_bytes()[:500])
    problems = check_take(read_take(take.video))
    assert len(problems) == 2
    assert problems[0].startswith("video: ")
    take.video.unlink()
    with pytest.raises(InputError, match="missing"):
        read_take(take.sidecar)


def test_a_take_is_renamed_with_all_its_files(tmp_path):
    take = rename_take(finished(tmp_path), "Große Szene / 1")
    assert take.name == "Große Szene _ 1"
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{take.name}{end}" for end in (".json", ".motion.npz", ".mp4")]
    assert check_take(take) == []
    assert list_takes(tmp_path)[0].name == take.name


def test_renaming_overwrites_nothing(tmp_path):
    take, other = finished(tmp_path), finished(tmp_path, person="42")
    for name in (other.name, "", "..."):
        with pytest.raises(OutputError):
            rename_take(take, name)
    assert len(list_takes(tmp_path)) == 2
    assert rename_take(take, take.name).name == take.name


def test_a_thumbnail_is_a_picture_of_the_take(tmp_path):
    take = finished(tmp_path)
    picture = thumbnail(take.video, 48, 36)
    assert picture.shape == (36, 48, 3)
    assert picture.mean() == pytest.approx(70, abs=4)
    take.video.write_bytes(b"")
    assert thumbnail(take.video) is None


# -------------------------------------------------------------------------------------------------------------- recovery


def test_an_abandoned_take_is_found_and_recovered(tmp_path):
    name = abandoned(tmp_path)
    (unfinished,) = find_unfinished_takes(tmp_path)
    assert (unfinished.name, unfinished.info.about.person) == (name, "7")
    assert unfinished.bytes > 1000
    assert unfinished.seconds() == pytest.approx(20 / 30, abs=0.05)
    take = recover_take(unfinished)
    assert take.name == name
    assert take.info.finished
    assert take.info.frames == 20
    assert any("recovered" in note for note in take.info.notes)
    assert check_take(take) == []
    assert find_unfinished_takes(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 3


def test_a_take_that_is_being_recorded_is_not_offered(tmp_path):
    recorder = record(tmp_path)
    while recorder.backlog:
        pass
    assert find_unfinished_takes(tmp_path) == []
    recorder.stop(20)


def test_the_number_of_a_process_is_not_enough(tmp_path):
    """Another program may have got the number of the one that died."""
    abandoned(tmp_path, Owner(Owner.this_process().host, os.getpid(), 12345.0))
    assert len(find_unfinished_takes(tmp_path)) == 1


def test_a_take_of_another_computer_is_left_alone_while_it_grows(tmp_path):
    abandoned(tmp_path, Owner("another computer", 1, 1.0))
    assert find_unfinished_takes(tmp_path) == []
    for path in tmp_path.iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert len(find_unfinished_takes(tmp_path)) == 1


def test_without_a_sidecar_video_and_motion_are_recovered(tmp_path):
    abandoned(tmp_path)
    next(tmp_path.glob("*.json")).unlink()
    for path in tmp_path.iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (unfinished,) = find_unfinished_takes(tmp_path)
    take = recover_take(unfinished)
    assert len(take.read_motion()) == 20
    assert take.info.about == TakeAbout()


def test_a_video_that_cannot_be_read_keeps_the_motion(tmp_path):
    name = abandoned(tmp_path)
    next(tmp_path.glob("*.part")).write_bytes(b"nothing that could be read")
    (unfinished,) = find_unfinished_takes(tmp_path)
    assert unfinished.seconds() == 0
    with pytest.raises(InputError):
        recover_take(unfinished)
    assert (tmp_path / f"{name}.motion.npz").exists()
    assert next(tmp_path.glob("*.part")).exists()


def test_discarding_deletes_its_own_files_only(tmp_path):
    other = finished(tmp_path, person="42")
    abandoned(tmp_path)
    (unfinished,) = find_unfinished_takes(tmp_path)
    discard_take(unfinished)
    assert sorted(tmp_path.iterdir()) == sorted(other.files())


def test_a_journal_without_room_for_a_clip_becomes_one_later(tmp_path):
    abandoned(tmp_path)
    journal = next(tmp_path.glob("*.journal"))
    content = journal.read_bytes()
    take = recover_take(find_unfinished_takes(tmp_path)[0])
    take.motion.unlink()
    journal.write_bytes(content)
    assert len(read_take(take.video).read_motion()) == 20
    assert find_unfinished_takes(tmp_path) == []
    settle_journals(tmp_path)
    assert not journal.exists()
    assert read_take(take.video).motion.suffix == ".npz"


# ---------------------------------------------------------------------------------------------------------------- folders


@pytest.fixture
def videos(tmp_path, monkeypatch):
    """The user's videos folder."""
    monkeypatch.setattr(take_folder.platformdirs, "user_videos_dir", lambda: str(tmp_path / "Videos"))
    return tmp_path / "Videos"


def test_the_default_is_in_the_videos_folder(videos):
    assert usable_folder("") == (videos / "AGORA live", "")
    assert default_folder().is_dir()


def test_the_wanted_folder_is_made(tmp_path, videos):
    wanted = tmp_path / "neu – 新しい" / "tief"
    assert usable_folder(str(wanted)) == (wanted, "")
    assert wanted.is_dir()


@pytest.mark.parametrize("kind", ["a file", "too long", "not allowed"])
def test_a_folder_that_cannot_be_used_is_replaced_and_named(tmp_path, videos, kind):
    wanted = {"a file": tmp_path / "file" / "takes", "too long": tmp_path / ("x" * 300), "not allowed": Path("/proc/takes")}[kind]
    (tmp_path / "file").write_text("")
    folder, words = usable_folder(str(wanted))
    assert folder == videos / "AGORA live"
    assert "cannot be used" in words
    assert str(folder) in words
    assert len(words) < 400


def test_a_path_that_leaves_no_room_for_a_name_is_replaced(tmp_path, videos):
    deep = tmp_path
    while len(str(deep)) < 4040:
        deep = deep / ("d" * min(200, max(1, 4050 - len(str(deep)))))
    assert usable_folder(str(deep))[0] == videos / "AGORA live"


def test_the_spare_folder_is_the_last_resort(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(take_folder.platformdirs, "user_videos_dir", lambda: str(tmp_path / "file"))
    assert usable_folder("")[0] == spare_folder()
    monkeypatch.setenv("AGORA_DATA", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot be used"):
        usable_folder("")


def test_a_name_is_taken_once(tmp_path):
    names = [reserve_name(tmp_path, "take", lambda name: Sidecar(f"{name}.mp4", STARTED)) for _ in range(3)]
    assert names == ["take", "take (2)", "take (3)"]
    (tmp_path / "other.motion.npz").write_text("")
    assert reserve_name(tmp_path, "other", lambda name: Sidecar(f"{name}.mp4", STARTED)) == "other (2)"


@pytest.mark.parametrize(("free", "rate", "left", "stop", "short"), [
    (10_000_000_000, 1_000_000, 9500, False, False),
    (700_000_000, 1_000_000, 200, False, True),
    (500_000_000, 1_000_000, 0, True, True),
    (2_000_000_000, 20_000_000, 40, False, True),  # a fast one stops a minute before the end
    (1_200_000_000, 20_000_000, 0, True, True),
])
def test_the_disk_guard_counts_time(tmp_path, free, rate, left, stop, short):
    guard = DiskGuard(tmp_path, lambda _: free)
    for second in range(30):
        state = guard.look(float(second), second * rate)
    assert state.seconds_left == pytest.approx(left, rel=0.02, abs=0.1)
    assert (state.must_stop, state.is_short) == (stop, short)
