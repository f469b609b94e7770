"""The discriminators of both stages against values that the published code computed."""

from __future__ import annotations

import pytest
import torch

from core.networks.config import DiscriminatorConfig
from tests.networks.conftest import load_arrays
from trainer.networks.discriminator import Discriminator

STAGE_1 = DiscriminatorConfig(resolution=32, channel_base=512, channel_max=16, latent_size=16)
STAGE_2 = DiscriminatorConfig(resolution=64, channel_base=512, channel_max=16, latent_size=16, pretrained_resolution=32)


@pytest.fixture(scope="module")
def golden(golden_folder, device):
    return load_arrays(golden_folder / "golden_discriminator.npz", device)


def network(config, state):
    made = Discriminator(config)
    made.load_state_dict(state)
    return made


@pytest.fixture(scope="module")
def stage_1(golden, device):
    prefix = "stage1_state/"
    state = {name.removeprefix(prefix): value for name, value in golden.items() if name.startswith(prefix)}
    return network(STAGE_1, state).to(device)


@pytest.fixture(scope="module")
def stage_2(checkpoint, device):
    return network(STAGE_2, checkpoint.states["D"]).to(device)


def pictures(images):
    return images.float() / 127.5 - 1


def test_stage_1(stage_1, golden):
    images, camera = pictures(golden["stage1_images"]), golden["c12"]
    torch.testing.assert_close(stage_1(images, camera), golden["stage1_logits"], atol=1e-4, rtol=0)
    torch.testing.assert_close(stage_1(images[:2], camera[:2]), golden["stage1_logits_first2"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_stage_2(stage_2, golden, weight):
    logits = stage_2(pictures(golden["stage2_images"]), golden["c12"], weight)
    torch.testing.assert_close(logits, golden[f"stage2_logits_alpha{weight}"], atol=1e-4, rtol=0)


def test_gradients_of_both_inputs(stage_2, golden):
    images = pictures(golden["stage2_images"])[:2].requires_grad_(True)
    logits = stage_2(images, golden["c12"][:2], 0.3)
    torch.testing.assert_close(logits, golden["stage2_logits_alpha0.3_first2"], atol=1e-4, rtol=0)
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    sums = torch.stack([gradient[:, :3].square().sum((1, 2, 3)), gradient[:, 3:].square().sum((1, 2, 3))], 1)
    torch.testing.assert_close(sums, golden["stage2_alpha0.3_first2_grad_sqsum"], atol=0, rtol=1e-3)


@pytest.mark.parametrize(("stage", "config"), [("1", DiscriminatorConfig()),
                                               ("2", DiscriminatorConfig(resolution=512, pretrained_resolution=256))])
def test_names_and_shapes_are_those_of_the_published_models(golden_folder, stage, config):
    sections = (golden_folder.parent / "spec" / "agora_official_tensors.txt").read_text().split("\n# D state_dict")
    rows = [line.split("\t") for line in sections[int(stage)].splitlines() if "\t" in line]
    published = {name: tuple(int(n) for n in shape.strip("()").split(",") if n.strip()) for name, shape, *_ in rows}
    with torch.device("meta"):
        ours = {name: tuple(value.shape) for name, value in Discriminator(config).state_dict().items()}
    assert ours == published
