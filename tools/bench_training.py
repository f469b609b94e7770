"""How fast the trainer's parts are here: `python -m tools.bench_training`."""

from __future__ import annotations

import torch

from trainer.rasterize_benchmark import CASES, measure_rasterizer


def main() -> None:
    torch.set_num_threads(1)
    print("differentiable rasteriser, milliseconds of processor time, one thread")
    for size, count in CASES:
        times = measure_rasterizer(size, count)
        print(f"  {size:>3}² / {count:>6,} Gaussians: {times.forward_ms:5.2f} forward + {times.backward_ms:5.2f} backward "
              f"= {times.total_ms:5.2f}")


if __name__ == "__main__":
    main()
