"""The doctor reports, and never falls ill itself."""

from __future__ import annotations

from core import doctor
from core.errors import AssetError


def by_name(checks):
    return {check.name: check for check in checks}


def test_every_probe_is_reported():
    checks = by_name(doctor.run_checks())
    assert set(checks) == set(doctor.PROBES)
    assert checks["opencv"].health is doctor.Health.OK


def test_a_failing_probe_becomes_a_line(monkeypatch):
    def broken():
        raise RuntimeError("driver exploded")

    monkeypatch.setitem(doctor.PROBES, "graphics", broken)
    check = by_name(doctor.run_checks())["graphics"]
    assert check.health is doctor.Health.BROKEN
    assert "driver exploded" in check.detail


def test_a_missing_model_comes_with_its_mending_step(monkeypatch):
    def missing():
        raise AssetError("the model is not there", "fetch it")

    monkeypatch.setattr(doctor.assets, "landmarker_model_path", missing)
    check = by_name(doctor.run_checks())["landmark model"]
    assert (check.health, check.mend) == (doctor.Health.BROKEN, "fetch it")


def test_a_machine_without_a_display_is_limited_not_broken(monkeypatch):
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert by_name(doctor.run_checks())["display"].health is doctor.Health.LIMITED
