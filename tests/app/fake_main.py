"""Stands in for the commands `invert`, `export` and `import-official` of `main.py`: answers at once, and makes nothing.

What goes wrong is said by `behave.json` in the folder of the first photograph, of the file to be written, or of the official
files; it holds, by command, words such as "die". AGORA_FAKE_PACK names a real pack that is handed out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image

from core.run_folder import Request, RunFolder, RunState, RunStatus

PHASES = ("reading the photos", "fitting the head", "finding the looks", "painting the skin", "looking at the result")
TICK = 0.01  # seconds of this process between two looks at what is asked of it
REPORT = {"route": "studio", "scores": {"ssim": 0.88, "psnr": 24.1, "landmark_error": 0.021, "held_out": 0.74},
          "warnings": ["the second photo is blurred", "anna-side.png: it is dark"]}


def behaviour(folder: Path) -> dict:
    path = folder / "behave.json"
    return json.loads(path.read_text()) if path.exists() else {}


def fail(what: str, hint: str = "") -> None:
    print(f"error: {what}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    sys.exit(2)


def hand_out(out: Path, kind: str) -> None:
    """A pack: a real one where one is named."""
    real = os.environ.get("AGORA_FAKE_PACK")
    temporary = out.with_suffix(".part")
    shutil.copyfile(real, temporary) if real else temporary.write_bytes(f"{kind} {out.stem}".encode())
    temporary.replace(out)


def invert(options) -> None:
    folder, plan = RunFolder(options.progress), behaviour(options.photos[0].parent).get("invert", "")
    while plan == "mute":
        time.sleep(TICK)

    def tell(state: RunState, phase: str, percent: int, message: str = "") -> None:
        folder.write_status(RunStatus(state, phase, PHASES, percent, 100, 1.0, 100.0 - percent, 1.0, message=message))

    def fail_with(what: str, hint: str = "") -> None:
        tell(RunState.FAILED, phase, percent, f"{what}. {hint}" if hint else what)
        fail(what, hint)

    for step, phase in enumerate(PHASES):
        percent = 20 * step
        tell(RunState.RUNNING, phase, percent)
        if step == 1 and plan == "refuse":
            fail_with(f"{options.photos[-1]}: no face was found", "choose a photograph with one face, seen from the front")
        if step == 1 and plan == "full":
            fail_with("the disk is full", "make room, then try again")
        folder.samples_folder.mkdir(exist_ok=True)
        picture = folder.sample_file(percent)
        Image.new("RGB", (64, 64), (40 * step, 90, 200 - 40 * step)).save(picture.with_suffix(".part"), "PNG")
        picture.with_suffix(".part").replace(picture)
        if step == 2 and plan == "die":
            os.kill(os.getpid(), 9)
        while step == 2 and plan in ("wait", "deaf"):
            if folder.take_request() in (Request.STOP, Request.ABORT) and plan == "wait":
                tell(RunState.STOPPED, phase, percent)
                sys.exit(130)
            if (folder.path / "go on").exists():
                break
            time.sleep(TICK)
    if plan != "nothing":
        hand_out(options.out, "photo")
    folder.report.write_text("{damaged" if plan == "damaged report" else json.dumps(REPORT))
    tell(RunState.FINISHED, PHASES[-1], 100)


def export(options) -> None:
    plan = behaviour(options.out.parent).get("export", "")
    print("frames: 5/20", flush=True)
    while plan == "slow":
        time.sleep(TICK)
    if plan == "full":
        fail(f"{options.out} cannot be written: no space left on device", "make room, then try again")
    if options.kind in ("ply", "splat", "spz") and options.motion:
        options.out.mkdir()
        for frame in range(3):
            (options.out / f"{frame:06d}.{options.kind}").write_bytes(b"x")
    else:
        options.out.write_text(" ".join(sys.argv[1:]))
    print(f"{options.out}: 65536 Gaussians")


def import_official(options) -> None:
    plan = behaviour(options.folder).get("import", "")
    print("person 1: 1/8", flush=True)
    while plan == "slow":
        time.sleep(TICK)
    if plan == "refuse":
        fail("checkpoint.pkl holds a program, which is not executed", "fetch the published file again")
    hand_out(options.out, "official")
    print("found generator: checkpoint.pkl\nnote: no fused_params_dataset.npy: head shapes are made up")


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("invert")
    one.add_argument("photos", nargs="+", type=Path)
    for name in ("out", "progress", "generator"):
        one.add_argument(f"--{name}", type=Path)
    one.add_argument("--route")
    one.add_argument("--name")
    one.add_argument("--keep-photo", action="store_true")
    one = commands.add_parser("export")
    one.add_argument("kind")
    one.add_argument("--seed", nargs="+")
    one.add_argument("--expression")
    for name in ("pack", "out", "motion"):
        one.add_argument(f"--{name}", type=Path)
    one = commands.add_parser("import-official")
    one.add_argument("folder", type=Path)
    one.add_argument("--out", type=Path)
    one.add_argument("--name")
    one.add_argument("--seeds")
    one.add_argument("--without-generator", action="store_true")
    options = parser.parse_args()
    {"invert": invert, "export": export, "import-official": import_official}[options.command](options)


if __name__ == "__main__":
    main()
