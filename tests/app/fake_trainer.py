"""Stands in for the training commands of `main.py`: answers at once, and trains nothing. Run as a process by the tests.

What goes wrong is said by files in the dataset folder: `behave.json` holds, by command, words such as "die" or findings.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image

from core.run_folder import LogRecord, Request, RunFolder, RunState, RunStatus

INFO = {"kind": "synthetic", "size": 64, "images": {"train": 1600, "test": 400}, "people": 40}
TICK = 0.01  # seconds of this process between two looks at what is asked of it


def behaviour(folder: Path) -> dict:
    path = folder / "behave.json"
    return json.loads(path.read_text()) if path.exists() else {}


def fail(what: str, hint: str = "") -> None:
    print(f"error: {what}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    sys.exit(2)


def answer(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values))


def synth(options) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    plan = behaviour(options.out.parent)
    (options.out / "begun").touch()
    print(f"rendering {options.count // 2}/{options.count}", flush=True)
    if plan.get("synth") == "full":
        fail("shard-00003.safetensors cannot be written: no space left on device", "make room, then run it again")
    while plan.get("synth") == "slow":
        time.sleep(TICK)
    (options.out / "dataset.json").write_text("{}")


def portraits(options) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "dataset.json").write_text("{}")


def check(options) -> None:
    plan = behaviour(options.dataset)
    if plan.get("check") == "crash":
        os.abort()
    findings = plan.get("findings", [])
    bad = any(finding["severity"] == "blocking" for finding in findings)
    answer(options.json, {**INFO, "findings": findings, "blocked": bad, **plan.get("info", {})})
    if bad:
        sys.exit(1)


def probe(options) -> None:
    plan = behaviour(options.data).get("probe", {})
    if plan == "garbage":
        options.json.write_text("{nothing")
        return
    answer(options.json, {"seconds": 7500.0, "memory_bytes": 10**8, "disk_bytes": 10**7, "images_per_second": 34.5,
                          "problems": [], **plan})


def train(options) -> None:
    if options.probe:
        probe(options)
        return
    plan = behaviour(options.data).get("train", "")
    if plan == "refuse":
        fail("the recipe cannot be used", "choose another recipe")
    folder = RunFolder(options.out)
    folder.path.mkdir(parents=True, exist_ok=True)
    Training(folder, plan, options).run()


class Training:
    """A training whose losses fall by themselves."""

    total = 4000

    def __init__(self, folder: RunFolder, plan: str, options) -> None:
        self.folder, self.plan = folder, "" if options.resume else plan
        self.images = 0
        if options.resume:
            self.images = max((int(path.stem) for path in folder.checkpoints.glob("*.json")), default=0)
            folder.append_log(LogRecord("resume", self.images, text="from the last checkpoint"))

    def tell(self, state: RunState, message: str = "") -> None:
        phase = "image" if self.images >= self.total // 2 else "uv"
        self.folder.write_status(RunStatus(state, phase, ("uv", "image"), self.images, self.total, 812.0,
                                           (self.total - self.images) / 812.0, 1.0, message=message))

    def run(self) -> None:
        self.folder.clear_requests()
        self.tell(RunState.PREPARING)
        while self.images < self.total:
            self.step()
            if not self.obey():
                return
            if self.plan == "die" and self.images >= 1000:
                os.kill(os.getpid(), 9)
            if self.plan == "full" and self.images >= 1000:
                self.tell(RunState.FAILED, "the disk is full: checkpoints/000001000 cannot be written")
                fail("the disk is full", "make room, then continue")
        self.save()
        self.tell(RunState.FINISHED)

    def step(self) -> None:
        while self.plan == "wait" and self.images >= 1000:  # until it is asked for something
            request = self.folder.take_request()
            if request is not None:
                self.folder.request(request)
                return
            time.sleep(TICK)
        self.images += 200
        share = self.images / self.total
        self.folder.append_log(LogRecord("step", self.images, "image" if share >= 0.5 else "uv", (
            ("generator", 2.0 / (1 + 5 * share)), ("discriminator", 0.7 - 0.1 * share), ("colour", 0.2 * (1 - share) ** 2))))
        if self.images % 1000 == 0:
            self.save()
            self.folder.append_log(LogRecord("note", self.images, text="checkpoint written"))
        self.tell(RunState.RUNNING)

    def save(self) -> None:
        for folder in (self.folder.checkpoints, self.folder.samples_folder):
            folder.mkdir(exist_ok=True)
        picture = self.folder.sample_file(self.images)
        shade = round(200 * self.images / self.total)
        Image.new("RGB", (64, 64), (shade, 90, 200 - shade)).save(picture.with_suffix(".part"), "PNG")
        picture.with_suffix(".part").replace(picture)
        (self.folder.checkpoints / f"{self.images:09d}.json").write_text("{}")

    def obey(self) -> bool:
        request = self.folder.take_request()
        while request is Request.PAUSE and self.plan != "deaf":
            self.tell(RunState.PAUSED)
            later = None
            while later is None:
                time.sleep(TICK)
                later = self.folder.take_request()
            request = later
            self.tell(RunState.RUNNING)
        if request is Request.STOP:
            self.tell(RunState.STOPPING)
            self.save()
            self.tell(RunState.STOPPED)
            return False
        if request is Request.ABORT and self.plan != "deaf":
            self.tell(RunState.STOPPED)
            return False
        return True


def evaluate(options) -> None:
    rows = (("Fréchet distance", 2.31, 0.42, 48.0, "lower", "how far generated pictures are from real ones"),
            ("Identity consistency", 0.83, 0.12, 0.97, "higher", "the same person stays the same in all poses"),
            ("AED", 0.041, 0.036, 0.21, "lower", "expression that was asked for against the one that is seen"),
            ("Skin leak", float("nan"), None, None, "lower", "share of the face through which the background shines"))
    answer(options.json, {"rows": [dict(zip(("name", "value", "floor", "ceiling", "better", "meaning"), row, strict=True))
                                   for row in rows]})


def distill(options) -> None:
    print("basis 50%", flush=True)
    pack = os.environ.get("AGORA_FAKE_PACK")
    options.out.write_bytes(Path(pack).read_bytes() if pack else b"pack")
    curve = [{"components": k, "error": 1.0 / k} for k in (8, 16, 32, 64) if k <= options.components]
    answer(options.json, {"curve": curve, "pack": str(options.out)})


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data").add_subparsers(dest="command", required=True)
    one = data.add_parser("synth")
    for name, kind in (("out", Path), ("count", int), ("size", int), ("workers", int), ("seed", int)):
        one.add_argument(f"--{name}", type=kind, required=True)
    one = data.add_parser("portraits")
    one.add_argument("photos", type=Path)
    one.add_argument("--out", type=Path)
    one = data.add_parser("check")
    one.add_argument("dataset", type=Path)
    one.add_argument("--json", type=Path)
    one = commands.add_parser("train")
    for name, kind in (("recipe", str), ("data", Path), ("out", Path), ("json", Path), ("hours", float), ("batch", int),
                       ("size", int), ("seed", int), ("threads", int)):
        one.add_argument(f"--{name}", type=kind)
    one.add_argument("--probe", action="store_true")
    one.add_argument("--resume", action="store_true")
    for command, names in (("evaluate", ("run", "json")), ("distill", ("run", "out", "json"))):
        one = commands.add_parser(command)
        for name in names:
            one.add_argument(f"--{name}", type=Path)
    for name in ("components", "identities", "expressions"):
        one.add_argument(f"--{name}", type=int)
    options = parser.parse_args()
    {"synth": synth, "portraits": portraits, "check": check, "train": train, "evaluate": evaluate,
     "distill": distill}[options.command](options)


if __name__ == "__main__":
    main()
