"""The head and a few people, built once for all studio tests."""

from __future__ import annotations

import numpy as np
import pytest

from core.head.library import load_open_head
from core.head.model import HeadModel
from core.studio import StudioIdentity, build_identity


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return load_open_head()


@pytest.fixture(scope="session")
def person(head: HeadModel) -> StudioIdentity:
    return build_identity(7, head)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
