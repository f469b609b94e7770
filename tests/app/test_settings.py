"""The settings store: what is read from good, old, new and broken files, and what is written when."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agora_app.settings import migrations, paths
from agora_app.settings.model import VERSION, Settings
from agora_app.settings.reading import read_settings
from agora_app.settings.store import SettingsStore


def written(path):
    return json.loads(path.read_text())


def test_a_change_is_on_disk_shortly_after_and_comes_back(store, qtbot):
    store.change("source", width=640, camera_id="usb-1")
    assert not store.path.exists()
    qtbot.waitUntil(store.path.exists, timeout=3000)
    assert written(store.path)["source"]["width"] == 640
    again = SettingsStore(store.path)
    assert again.settings == store.settings
    assert again.problem == ""


def test_a_dragged_slider_is_written_once(store, qtbot, monkeypatch):
    writes = []
    monkeypatch.setattr("agora_app.settings.store.write_atomically", lambda path, content: writes.append(content))
    for step in range(50):
        store.change("drive", brows=step / 50)
    qtbot.waitUntil(lambda: bool(writes), timeout=3000)
    store.flush()
    assert len(writes) == 1
    assert json.loads(writes[0])["drive"]["brows"] == pytest.approx(0.98)


def test_the_signal_names_the_section_and_comes_only_for_a_change(store, qtbot):
    heard = []
    store.changed.connect(heard.append)
    store.change("view", size=720)
    store.change("view", size=720)
    assert heard == ["view"]


@pytest.mark.parametrize(("section", "values"), [("source", {"fps": 1000}), ("drive", {"jaw": -0.1}),
                                                 ("drive", {"jaw": float("nan")}), ("appearance", {"theme": "pink"}),
                                                 ("source", {"colour": 1})])
def test_what_is_not_allowed_changes_nothing(store, section, values):
    before = store.settings
    with pytest.raises(ValueError):  # noqa: PT011  (pydantic's own words)
        store.change(section, **values)
    assert store.settings == before


def test_reset_of_some_fields_leaves_the_others(store):
    store.change("drive", jaw=0.5, mouth=0.5)
    store.reset("drive", "jaw")
    assert (store.settings.drive.jaw, store.settings.drive.mouth) == (1.0, 0.5)
    store.reset("drive")
    assert store.settings.drive.mouth == 1.0


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff\xfe\x00", b'{"version": "x"}', b'{"version": -1}',
                                     b'{"version": true}', b"[" * 100_000])
def test_a_broken_file_is_kept_and_told_once(qapp, tmp_path, content):
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    store = SettingsStore(path)
    assert store.settings == Settings()
    assert "damaged" in store.problem
    kept = list(tmp_path.glob("settings.json.bad-*"))
    assert [file.read_bytes() for file in kept] == [content]
    assert kept[0].name in store.problem
    store.change("view", size=720)
    store.flush()
    assert SettingsStore(path).problem == ""


def test_broken_twice_in_a_day_keeps_both(qapp, tmp_path):
    path = tmp_path / "settings.json"
    for content in ("one", "two"):
        path.write_text(content)
        SettingsStore(path)
    assert sorted(file.read_text() for file in tmp_path.glob("settings.json.bad-*")) == ["one", "two"]


def test_a_file_of_a_newer_version_is_kept(qapp, tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"version": VERSION + 1, "view": {"size": 1080}}))
    store = SettingsStore(path)
    assert "newer version" in store.problem
    assert store.settings == Settings()
    store.flush()
    (kept,) = tmp_path.glob("settings.json.bad-*")
    assert written(kept)["view"] == {"size": 1080}
    assert not path.exists()


def test_one_bad_value_takes_its_default_and_the_rest_stays(qapp, tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"version": VERSION, "view": {"size": 9, "landmarks": True, "unknown": 3}, "output": 7,
                                "shortcuts": {"live.mirror": "K"}, "nonsense": {}}))
    store = SettingsStore(path)
    assert (store.settings.view.size, store.settings.view.landmarks) == (512, True)
    assert store.settings.output == Settings().output
    assert store.settings.shortcuts == {"live.mirror": "K"}
    assert "view.size" in store.problem
    assert "output" in store.problem
    assert "landmarks" not in store.problem
    store.flush()
    assert SettingsStore(path).problem == ""
    assert "unknown" not in written(path)["view"]


def test_the_flat_file_of_the_first_version_is_understood(qapp, tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"theme": "auto", "mirror": False, "seed": 42, "canvas_size": 720, "smoothing": 2.5,
                                "renderer": "cpu", "gone": 1}))
    store = SettingsStore(path)
    assert store.problem == ""
    values = store.settings
    assert (values.appearance.theme, values.source.mirror, values.identity.person) == ("system", False, "42")
    assert (values.view.size, values.tracking.smoothing, values.performance.renderer) == (720, 2.5, "cpu")
    store.flush()
    assert written(path)["version"] == VERSION


def test_there_is_a_way_from_every_version():
    assert migrations.migrate({"version": 0})["version"] == VERSION
    assert set(migrations._steps) == set(range(VERSION))
    with pytest.raises(ValueError, match="two ways"):
        migrations.migrates_from(0)(lambda values: values)


def test_a_folder_that_cannot_be_written_is_told_once_and_nothing_breaks(store, qtbot, monkeypatch):
    def refuse(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agora_app.settings.store.write_atomically", refuse)
    told = []
    store.problem_found.connect(told.append)
    store.change("view", size=720)
    store.flush()
    store.change("view", size=512)
    store.flush()
    assert len(told) == 1
    assert "No space left" in told[0]
    monkeypatch.undo()
    store.flush()
    assert written(store.path)["view"]["size"] == 512


def test_a_folder_that_cannot_be_made(qapp, tmp_path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    store = SettingsStore(tmp_path / "taken" / "settings.json")
    told = []
    store.problem_found.connect(told.append)
    store.change("view", size=720)
    store.flush()
    assert store.settings.view.size == 720
    assert len(told) == 1


def test_without_a_path_nothing_is_kept(qapp, tmp_path):
    store = SettingsStore(None)
    store.change("view", size=720)
    store.flush()
    assert store.settings.view.size == 720


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                           lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
                           max_leaves=6)
names = st.sampled_from(["version", "view", "source", "drive", "shortcuts", "application", "size", "theme", "seed", "recent"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(names, st.dictionaries(names, json_values, max_size=4) | json_values, max_size=5))
def test_no_file_stops_the_program(tmp_path, values):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(values))
    loaded = read_settings(path)
    assert Settings.model_validate(loaded.settings.model_dump()) == loaded.settings
    for file in tmp_path.iterdir():
        file.unlink()


def test_window_state_forgets_another_layout_version(qapp, monkeypatch):
    kept = paths.window_state()
    kept.setValue("geometry", 5)
    kept.sync()
    assert paths.window_state().value("geometry", type=int) == 5
    monkeypatch.setattr(paths, "LAYOUT_VERSION", paths.LAYOUT_VERSION + 1)
    assert paths.window_state().value("geometry") is None


def test_everything_lies_in_the_data_folder(tmp_path):
    assert paths.settings_path() == tmp_path / "data" / "settings.json"
    assert paths.log_folder() == tmp_path / "data" / "logs"
