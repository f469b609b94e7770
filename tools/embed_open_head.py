"""``python -m tools.embed_open_head``: finds the landmarker's points on the open head and writes them beside it."""

from __future__ import annotations

import numpy as np

from core.assets import landmarker_model_path
from core.head.embedding import OPEN_HEAD_LANDMARKS_PATH
from core.head.library import load_open_head
from core.tracking.correspondence import embed_landmarks
from core.tracking.mediapipe_landmarker import FaceLandmarker


def main() -> int:
    """Run it again after every bake."""
    with FaceLandmarker(landmarker_model_path()) as landmarker:
        embedding = embed_landmarks(load_open_head(), landmarker)
    embedding.save(OPEN_HEAD_LANDMARKS_PATH)
    OPEN_HEAD_LANDMARKS_PATH.chmod(0o644)
    print(f"{OPEN_HEAD_LANDMARKS_PATH}: the views agree within {1000 * np.median(embedding.spread):.1f} mm")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
