"""The performance model and its dock, with real widgets on a session that tells what the test wants."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from agora_app.docks.performance import PerformanceDock
from agora_app.models.performance import PerformanceModel
from agora_app.theme import current_colors
from core.pipeline.live.state import LiveStats, Quality
from core.pipeline.timing import StageTimes

STATS = LiveStats(
    (StageTimes("capture", 60, 0.4, 0.9, 24.0), StageTimes("track", 60, 14.2, 18.6, 850.0),
     StageTimes("drive", 60, 3.9, 4.6, 234.0), StageTimes("render", 60, 9.2, 11.0, 552.0),
     StageTimes("compose", 60, 0.4, 0.6, 24.0)),
    30.0, 29.6, 29.4, 29.2, 42.3, 61.7, 17, Quality(), "the processor (no graphics processor to be had: EGL is missing)")
LOWERED = LiveStats(STATS.stages, 30.0, 21.0, 18.0, 18.0, 95.0, 142.0, 12345,
                    Quality(2, "drawn at 384 px", "drawing took 41 ms, 33 ms are there"), "the processor")


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def model(session, store, clock):
    session.statistics = STATS
    model = PerformanceModel(session, store, clock=clock)
    yield model
    model.close()


@pytest.fixture
def dock(qtbot, model):
    dock = PerformanceDock(model)
    qtbot.addWidget(dock)
    dock.resize(320, 720)
    dock.show()
    qtbot.waitExposed(dock)
    return dock


def fill(model, session, clock, seconds=70):
    for i in range(4 * seconds):
        clock.now = i / 4
        session.statistics = LiveStats(STATS.stages, 30, 29 + i % 2, 29, 28 + i % 3, 40 + i % 7, 60 + i % 11, i, Quality(),
                                       STATS.renderer)
        model.poll()


# -------------------------------------------------------------------------------------------------------------- the model


def test_it_polls_by_itself(qtbot, model):
    with qtbot.waitSignal(model.stats_changed, timeout=3000) as signal:
        pass
    assert signal.args == [STATS]
    assert model.stats is STATS


def test_a_minute_is_kept(model, session, clock):
    fill(model, session, clock)
    times = [sample.seconds for sample in model.history]
    assert times[-1] - times[0] == pytest.approx(60, abs=0.3)
    assert len(times) == 241


def test_settings_reach_the_session(model, session, store):
    assert session.last("set_quality") == (True, 30)
    store.change("performance", target_fps=25)
    assert session.last("set_quality") == (True, 25)
    model.set_governor(False)
    assert session.last("set_quality") == (False, 25)
    assert store.settings.performance.governor is False


def test_closed_it_asks_no_more(qtbot, model):
    model.close()
    with qtbot.assertNotEmitted(model.stats_changed, wait=600):
        pass


# --------------------------------------------------------------------------------------------------------------- the dock


def test_the_figures_are_those_of_the_session(model, dock):
    model.poll()
    assert ">29<" in dock.shown.value.text()
    assert ">30<" in dock.tracked.value.text()
    assert ">42<" in dock.latency.value.text()
    assert ">62<" in dock.slowest.value.text()
    assert ">17<" in dock.dropped.value.text()
    assert "Full quality" in dock.quality.text()
    assert not dock.reason.isVisible()
    assert "the processor" in dock.renderer.text()


def test_the_governor_says_what_it_lowered_and_why(model, dock, session):
    session.statistics = LOWERED
    model.poll()
    assert "Drawn at 384 px" in dock.quality.text()
    assert dock.reason.isVisible()
    assert dock.reason.text() == "Drawing took 41 ms, 33 ms are there"
    assert current_colors().warn.name() in dock.quality.text()


def test_without_latency_nothing_is_invented(model, dock, session):
    session.statistics = LiveStats()
    model.poll()
    assert ">–<" in dock.latency.value.text()
    assert not dock.renderer.isVisible()


def test_the_governor_is_switched_and_set_here(qtbot, dock, session, store):
    qtbot.mouseClick(dock.governor, Qt.MouseButton.LeftButton, pos=dock.governor.rect().center() / 4)
    assert session.last("set_quality") == (False, 30)
    assert not dock.target.isEnabled()
    qtbot.mouseClick(dock.governor, Qt.MouseButton.LeftButton, pos=dock.governor.rect().center() / 4)
    dock.target.selectAll()
    qtbot.keyClicks(dock.target, "24")
    qtbot.keyClick(dock.target, Qt.Key.Key_Return)
    assert session.last("set_quality") == (True, 24)
    store.change("performance", target_fps=60)
    assert dock.target.value() == 60


def test_plots_show_the_last_minute(model, dock, session, clock):
    fill(model, session, clock)
    ages, shown = dock.rate_plot.curves[0].getData()
    assert ages[-1] == 0
    assert ages[0] == pytest.approx(-60, abs=0.3)
    assert list(shown[-3:]) == [sample.stats.shown_fps for sample in model.history[-3:]]
    low, high = dock.latency_plot.view.viewRange()[1]
    assert low <= 0
    assert 70 <= high <= 100


def test_hidden_it_does_nothing_and_catches_up_when_shown(qtbot, model, session, clock):
    dock = PerformanceDock(model)
    qtbot.addWidget(dock)
    fill(model, session, clock, 5)
    assert dock.rate_plot is None
    dock.show()
    assert len(dock.rate_plot.curves[0].getData()[0]) == 20
    dock.hide()
    fill(model, session, clock, 3)
    assert len(dock.rate_plot.curves[0].getData()[0]) == 20


def test_stages_have_bars_as_long_as_they_take(qtbot, model, dock):
    model.poll()
    qtbot.waitUntil(lambda: dock.stages.height() == dock.stages.sizeHint().height())
    colour = current_colors().accent
    picture = dock.stages.grab().toImage()
    row = dock.stages.height() // 5

    def length(index):
        y = round((index + 0.5) * row * picture.devicePixelRatio())
        return sum(_near(picture.pixelColor(x, y), colour) for x in range(picture.width()))

    lengths = [length(i) for i in range(5)]
    assert lengths[1] > lengths[3] > lengths[2] > lengths[0]
    assert lengths[1] / lengths[3] == pytest.approx(14.2 / 9.2, rel=0.1)
    assert "Tracking 14.2 ms" in dock.stages.accessibleDescription()


def test_nothing_is_cut_off_in_a_narrow_dock(model, dock, session):
    session.statistics = LOWERED
    model.poll()
    assert dock.minimumSizeHint().width() <= 320
    for widget in (dock.shown, dock.tracked, dock.dropped, dock.latency, dock.slowest):
        for label in (widget.value, widget.name):
            assert label.width() >= label.sizeHint().width()
    for widget in (dock.governor, dock.target, dock.rate_plot.title, dock.rate_plot.legend):
        assert widget.width() >= widget.sizeHint().width()


@pytest.mark.parametrize("name", ["dark", "light"])
def test_colours_follow_the_theme(request, qtbot, model, name):
    request.getfixturevalue(f"theme_{name}")
    dock = PerformanceDock(model)
    qtbot.addWidget(dock)
    dock.show()
    model.poll()
    colors = current_colors()
    assert colors.theme == name
    assert dock.rate_plot.plot.backgroundBrush().color() == colors.card
    assert dock.rate_plot.curves[0].opts["pen"].color() == colors.accent


def _near(a: QColor, b: QColor) -> bool:
    return max(abs(a.red() - b.red()), abs(a.green() - b.green()), abs(a.blue() - b.blue())) < 12
