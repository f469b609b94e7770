"""Recipes: presets that can be trained, files that survive, and every wrong field refused in one line."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from core.errors import InputError
from core.networks.config import DESKTOP
from trainer.recipe import (
    PRESETS,
    AdversaryRecipe,
    LossWeights,
    Phase,
    Recipe,
    ci_recipe,
    desktop_recipe,
    paper_recipe,
    read_recipe,
    recipe_from_json,
)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_trained(name):
    recipe = read_recipe(name)
    assert recipe.name == name
    recipe.check()
    assert recipe.images == sum(phase.images for phase in recipe.phases)
    for phase in recipe.phases:
        assert phase.images % phase.batch == 0
        asked = {f.name for f in fields(LossWeights) if getattr(phase.losses, f.name)}
        assert phase.kind == "warm-up" or asked  # a phase without a loss would teach nothing


@pytest.mark.parametrize("name", PRESETS)
def test_recipes_survive_json(name, tmp_path):
    recipe = PRESETS[name]()
    assert recipe_from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(recipe.to_json()))
    assert read_recipe(str(path)) == recipe


def test_what_the_paper_does():
    """Specification 7: weights of both stages, rates, batch, lengths."""
    first, second = paper_recipe().phases
    assert (first.images, first.images + second.images) == (6_500_000, 25_000_000)
    assert (first.size, second.size, first.planes, second.planes, second.seats) == (256, 512, 256, 256, 512)
    assert {(p.batch, p.learning_rate, p.discriminator_rate, p.beta, p.ema_images, p.paired) for p in (first, second)} \
        == {(32, 0.0025, 0.002, 0.0, 10_000, False)}
    weights = {"adversarial": (1, 1), "raw_position": (0.25, 0.25), "raw_scale": (0.5, 0.5), "deform_position": (0.5, 1.5),
               "deform_scale": (1, 1.5), "deform_opacity": (0.5, 0.5), "opacity_beta": (0, 1), "texture_variation": (0, 1)}
    for field in fields(LossWeights):
        assert (getattr(first.losses, field.name), getattr(second.losses, field.name)) == weights.get(field.name, (0, 0))


def test_the_desktop_run_is_paired_and_grows():
    recipe = desktop_recipe()
    assert recipe.networks == DESKTOP
    assert [phase.kind for phase in recipe.phases] == ["uv", "image", "image", "warm-up", "adversarial"]
    assert all(phase.paired for phase in recipe.phases)
    assert [phase.planes for phase in recipe.phases] == [64, 64, 128, 128, 128]
    small = ci_recipe()
    assert [phase.kind for phase in small.phases] == [phase.kind for phase in recipe.phases]
    assert small.images < 1000


@pytest.mark.parametrize("factor", [0.001, 0.3, 1.0, 2.5])
def test_scaled_recipes_have_whole_batches(factor):
    recipe = desktop_recipe().scaled(factor)
    recipe.check()
    for before, after in zip(desktop_recipe().phases, recipe.phases, strict=True):
        assert after.images % after.batch == 0
        assert after.images == pytest.approx(max(before.images * factor, after.batch), abs=after.batch)
        assert replace(after, images=before.images) == before
    assert desktop_recipe().scaled(1.0) == desktop_recipe()


def with_phase(index: int, **changes) -> Recipe:
    recipe = ci_recipe()
    phases = list(recipe.phases)
    phases[index] = replace(phases[index], **changes)
    return replace(recipe, phases=tuple(phases))


@pytest.mark.parametrize(("recipe", "message"), [
    (with_phase(0, kind="guess"), r"recipe 'ci', phase 'texture': kind 'guess' is not one of uv, image, warm-up, adversarial"),
    (with_phase(0, planes=8), "planes of 8 do not fit between 16 and 32"),
    (with_phase(0, planes=24), "planes of 24 .*power of two"),
    (with_phase(2, planes=64), "planes of 64 do not fit"),
    (with_phase(3, planes=16), "planes of 16 .*shrink"),
    (with_phase(1, images=4), "4 pictures in batches of 8"),
    (with_phase(1, images=0), "0 pictures in batches of 8"),
    (with_phase(1, batch=0), "batches of 0"),
    (with_phase(4, size=8), "at 8 pixels"),
    (replace(ci_recipe(), phases=()), "has no phases"),
    (replace(ci_recipe(), parametrization="open"), "parametrization 'open' is not one of closed, paper"),
    (replace(ci_recipe(), adversary=AdversaryRecipe("triple")), "adversary 'triple' is not one of patch, dual"),
    (replace(ci_recipe(), checkpoint_images=0), "at least 1"),
    (replace(ci_recipe(), sample_images=0), "at least 1"),
])
def test_what_cannot_be_trained_is_refused(recipe, message):
    with pytest.raises(InputError, match=message) as refused:
        recipe.check()
    assert "\n" not in str(refused.value)
    assert "recipe 'ci'" in refused.value.message


def test_no_such_recipe():
    with pytest.raises(InputError, match="there is no recipe 'dektop'") as refused:
        read_recipe("dektop")
    assert "desktop" in refused.value.hint


def changed(**fields_to_change) -> str:
    return json.dumps({**ci_recipe().to_json(), **fields_to_change})


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "3", "{}", changed(wings=2), changed(phases=[{"name": "x"}]), changed(phases=["x"]),
    changed(phases=[3]), changed(networks={"wings": 1}),
    changed(phases=[{**ci_recipe().to_json()["phases"][0], "images": "many"}]),
    changed(phases=[{**ci_recipe().to_json()["phases"][0], "losses": {"luck": 1.0}}])])
def test_files_that_are_no_recipes(tmp_path, text):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_recipe(str(path))
    assert refused.value.message.startswith(f"{path} is not a recipe")
    assert "\n" not in str(refused.value)


def test_a_recipe_file_that_cannot_be_trained(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(with_phase(0, kind="guess").to_json()))
    with pytest.raises(InputError, match="kind 'guess'"):
        read_recipe(str(path))


def test_phases_count_whole_steps():
    assert Phase("a", "image", 100, 64, 64, batch=16).steps == 6
