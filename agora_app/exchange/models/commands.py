"""The commands of export and import as the lists of words that start them. They run as processes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agora_app.children.program import PROGRAM


@dataclass(frozen=True)
class ExchangeCommands:
    """Makes command lines.

    Attributes:
        program: what is started; replaced in tests.
    """

    program: tuple[str, ...] = PROGRAM

    def export(self, kind: str, pack: str, people: Sequence[str], out: Path, motion: str = "",
               face: str = "") -> list[str]:
        """Write people in another format.

        Args:
            pack: path of their pack; empty for the studio.
            motion: a motion clip that goes along; empty for none.
            face: the preset face that they make; empty for none.
        """
        return [*self.program, "export", kind, *(["--pack", pack] if pack else []), "--seed", *people, "--out", str(out),
                *(["--motion", motion] if motion else []), *(["--expression", face] if face else [])]

    def import_official(self, folder: Path, out: Path, name: str, seeds: str, generator: bool) -> list[str]:
        """Make a pack of the published files.

        Args:
            name: of the pack, for the user.
            seeds: of the people who are made, such as "0-7".
            generator: whether the generator itself comes along, so that any seed is somebody.
        """
        return [*self.program, "import-official", str(folder), "--out", str(out), "--name", name, "--seeds", seeds,
                *([] if generator else ["--without-generator"])]
