"""The ablations: equal but for one part each, resumable, and told as a table and a sheet."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import InputError
from core.head.library import load_open_head
from core.run_folder import Request, RunFolder, RunState
from tests.trainer.conftest import tiny_recipe
from trainer import ablations
from trainer.ablations import VARIANTS
from trainer.commands.ablate import AblateOptions, ablate
from trainer.loop import Loop
from trainer.metrics.report import Evaluation, Row
from trainer.run import averaged_generator, read_record

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    """An image and an adversarial phase of two steps each."""
    recipe = tiny_recipe()
    phases = tuple(replace(recipe.phases[i], images=8, planes=16) for i in (1, 3, 4))
    path = tmp_path_factory.mktemp("recipe") / "small.json"
    path.write_text(json.dumps(replace(recipe, phases=phases).to_json()))
    return path


@pytest.fixture(scope="module")
def done(tiny_data, recipe_file, tmp_path_factory) -> AblateOptions:
    """The command, stopped once on the way."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("ablations") / "out"
    options = AblateOptions(data=tiny_data, out=out, recipe=str(recipe_file), threads=1, seed=4)
    count, stops = Loop._count, [8]

    def counted(self, images):
        count(self, images)
        if stops and self.settings.folder.name == "no-dual" and self.training.position.images == stops[0]:
            self.run_folder.request(Request.STOP)
            stops.clear()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_count", counted)
        assert ablate(options) == 0
        assert not (out / "ablations.json").exists()
        assert not (out / "no-deformation").exists()
        assert ablate(options) == 0
    return options


def test_recipes_differ_in_one_part(done):
    recipes = [read_record(RunFolder(done.out / variant.folder)).recipe for variant in VARIANTS]
    assert [(r.shape_map, r.dual, r.deformation) for r in recipes] == [
        (True, True, True), (False, True, True), (True, False, True), (True, True, False)]
    assert {replace(r, shape_map=True, dual=True, deformation=True) for r in recipes} == {recipes[0]}
    assert {RunFolder(done.out / variant.folder).status().state for variant in VARIANTS} == {RunState.FINISHED}


def test_what_is_told(done):
    numbers = json.loads((done.out / "ablations.json").read_text())
    assert list(numbers) == [variant.name for variant in VARIANTS]
    assert all({"PSNR", "SSIM", "eyes and mouth"} <= {row["name"] for row in rows} for rows in numbers.values())
    assert len((done.out / "ablations.txt").read_text().splitlines()) == 4
    with Image.open(done.out / "ablations.png") as sheet:
        assert sheet.size == (8 * 16, 5 * (16 + 12))


def test_another_recipe_is_refused(done):
    with pytest.raises(InputError, match="of another recipe"):
        ablate(replace(done, seed=5))


def test_a_part_that_is_left_out_does_nothing(done):
    """Planes do not depend on the shape without its map, nor residuals on the expression without their branch; elsewhere they do.

    Two samples of a batch may differ by rounding (1e-7).
    """
    head = load_open_head()
    psi = torch.zeros(2, head.psi_layout.size)
    psi[1] = 0.3
    shape = np.zeros((2, head.shape_count), np.float32)
    shape[1, 0] = 2.0
    for variant in VARIANTS:
        generator = averaged_generator(done.out / variant.folder, head)
        z = torch.ones(1, generator.config.latent_input).expand(2, -1)
        person = generator.people(z, generator.shape_maps(shape))
        assert (_apart(person.planes) < 1e-5) is (variant.folder == "no-shape-map")
        person = generator.people(z, generator.shape_maps(shape[:1].repeat(2, 0)))
        residual = generator.residual_planes(person, psi)
        assert (_apart(residual) < 1e-5) is (variant.folder == "no-deformation")


def _apart(pair: torch.Tensor) -> float:
    return float((pair[0] - pair[1]).abs().max())


def test_table():
    def of(psnr: float, error: float) -> Evaluation:
        return Evaluation((Row("PSNR", psnr, None, None, "higher", ""), Row("FD-synth", error, None, None, "lower", ""),
                           Row("unknown", 1.0, None, None, "lower", "")))

    lines = ablations.table({"full": of(20, 1.5), "without": of(18.5, 1.75)}).splitlines()
    assert [line.split() for line in lines] == [["full", "without", "better"], ["PSNR", "20.0", "18.5", "(-1.5)", "higher"],
                                                ["FD-synth", "1.500", "1.750", "(+0.25)", "lower"]]
    assert len({len(line) for line in lines}) == 1
