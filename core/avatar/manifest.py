"""What a pack says about itself, and the check of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import PackError
from core.types import PsiLayout

FORMAT_NAME = "agora-avatar"
FORMAT_MAJOR = 1
FORMAT_MINOR = 0

ANCHORS = ("identity", "rows")
NECKS = ("one", "weights")
ROTATIONS = ("additive", "relative")
SCALES = ("additive", "strain")
KINDS = ("studio", "generator", "official", "photo", "static")
FACINGS = ("none", "soft")
PEOPLE = ("full", "compact")
PRIORS = ("studio", "normal")
SEEDINGS = ("cuda", "cpu")
FEATURES = ("pose_matrices", "pose_by_latent", "jaw_by_expression")
MAX_ROWS = 1 << 20
MAX_COMPONENTS = 512
MAX_LATENT = 4096
_LARGEST_SIZE, _LONGEST_WORD = 1 << 16, 64  # of what a generator's configuration may hold


@dataclass(frozen=True)
class GeneratorDeclaration:
    """What a pack says about the generator it holds.

    Attributes:
        prior: where z and shape of a seed come from. ``studio``: the traits of the seed (`core.studio.sample_traits`) as
            `core.studio.trait_vector` writes them, and their shape. ``normal``: z is normally distributed, the shape a row of
            the pack's table; both are drawn by torch's generator on the processor, seeded with the seed. Packs of kind official
            say ``cuda`` (as published: torch's generator on a GPU, see `core.avatar.cuda_random`) or ``cpu`` instead.
        config: canonical JSON text of a `core.networks.head_generator.HeadGeneratorConfig`; of the published generator, whose
            sizes its weights tell, an empty table.
    """

    prior: str
    config: str

    def to_json(self) -> dict[str, Any]:
        return {"prior": self.prior, "config": json.loads(self.config)}


@dataclass(frozen=True)
class TrackedHead:
    """The head model whose driving vector a pack is given, where it is not the pack's own (`core.avatar.driving_map`)."""

    name: str
    sha256: str
    psi: PsiLayout

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "sha256": self.sha256, "psi": asdict(self.psi)}


@dataclass(frozen=True)
class PackManifest:
    """The conventions of a pack, as `manifest.json` declares them.

    Attributes:
        name, creator, licence: shown to the user.
        kind: which source of identities the pack belongs to: studio, generator, official, photo or static (a file of Gaussians).
        head_name, head_sha256: the head model whose ψ and mesh the pack was made for.
        psi: layout of the driving vector.
        latent_size: length W of the identity's latent w.
        rows: number R of basis rows.
        components: K of each attribute in the order xyz, rotation, scale, opacity.
        anchors: ``identity``: Gaussian i is moved by row i, and Gaussians that come after the last row only turn with the head.
            ``rows``: each identity names the row of every Gaussian.
        neck: ``one``: head rotation moves everything. ``weights``: each identity has a weight per Gaussian.
        rotation: ``additive``: q = normalise(q0 + Δq), 4 channels. ``relative``: q = δ ⊗ q0, where the residual is
            Δ = tan(θ/4)·axis of δ (modified Rodrigues parameters: 3 channels, nearly linear in the angle, at most 1).
        scale: ``additive``: s = max(s0 + Δs, 1e-5), 3 channels. ``strain``: (U_uu, U_uv, U_vv) of the
            row, the stretch minus identity (Biot strain) in its tangent plane, which maps the covariance S of a patch to
            (I + U) S (I + U).
        features: what the regressor sees beside (w, ψ); see `core.avatar.regressor`.
        surface: fingerprint of the surface samples that the rows were made on (empty when the rows are not on a mesh).
        facing: ``soft``: Gaussians fade as they look away from the camera, see `core.avatar.kernels.fade_averted`; each identity
            has a normal and a share per Gaussian.
        generator: of packs of kind generator, and of those of kind official that can make new people; else None.
        people: ``compact``: stored people take 25 bytes a Gaussian (`core.avatar.compact_identity`), which is possible where
            Gaussians are their own anchors and turn with the head as a whole.
        tracked: of packs that are driven through a map from another head model's ψ, else None.
        minor: minor format version of the file.
    """

    name: str
    kind: str
    head_name: str
    head_sha256: str
    psi: PsiLayout
    latent_size: int
    rows: int
    components: tuple[int, int, int, int]
    anchors: str = "identity"
    neck: str = "one"
    rotation: str = "additive"
    scale: str = "additive"
    features: tuple[str, ...] = ()
    surface: str = ""
    creator: str = ""
    licence: str = ""
    facing: str = "none"
    generator: GeneratorDeclaration | None = None
    people: str = "full"
    tracked: TrackedHead | None = None
    minor: int = FORMAT_MINOR

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Numbers per row of xyz, rotation, scale and opacity."""
        return 3, 3 if self.rotation == "relative" else 4, 3, 1

    @property
    def driven_by(self) -> PsiLayout:
        """Layout of the driving vector that the pack is given: the tracker's, where there is a map from it."""
        return self.psi if self.tracked is None else self.tracked.psi

    @property
    def driving_sha256(self) -> str:
        """The head model of `driven_by`."""
        return self.head_sha256 if self.tracked is None else self.tracked.sha256

    def to_json(self) -> dict[str, Any]:
        added = {} if self.facing == "none" else {"facing": self.facing}
        if self.generator is not None:
            added["generator"] = self.generator.to_json()
        if self.people != "full":
            added["people"] = self.people
        if self.tracked is not None:
            added["tracked"] = self.tracked.to_json()
        return added | {
            "format": FORMAT_NAME, "version": [FORMAT_MAJOR, self.minor],
            "name": self.name, "kind": self.kind, "creator": self.creator, "licence": self.licence,
            "head": {"name": self.head_name, "sha256": self.head_sha256, "surface": self.surface},
            "psi": asdict(self.psi),
            "latent_size": self.latent_size, "rows": self.rows,
            "components": dict(zip(("xyz", "rotation", "scale", "opacity"), self.components, strict=True)),
            "anchors": self.anchors, "neck": self.neck, "rotation": self.rotation, "scale": self.scale,
            "features": list(self.features),
        }


def parse_manifest(path: Path, raw: Mapping[str, Any]) -> PackManifest:
    """Checks and reads the conventions out of a manifest.

    Raises:
        PackError: not an avatar pack, of an unknown major version, or with a field that is missing or out of range.
    """
    _check_version(path, raw)
    reader = _Fields(path, raw)
    head, components = reader.table("head"), reader.table("components")
    kind = reader.choice("kind", KINDS)
    anchors, neck = reader.choice("anchors", ANCHORS), reader.choice("neck", NECKS)
    return PackManifest(
        name=reader.text("name"), kind=kind, creator=reader.text("creator", ""),
        licence=reader.text("licence", ""),
        head_name=head.text("name"), head_sha256=head.text("sha256"), surface=head.text("surface", ""),
        psi=_layout(reader.table("psi")),
        latent_size=reader.count("latent_size", 0, MAX_LATENT),
        rows=reader.count("rows", 1, MAX_ROWS),
        components=tuple(components.count(key, 0, MAX_COMPONENTS) for key in ("xyz", "rotation", "scale", "opacity")),
        anchors=anchors, neck=neck,
        people=reader.choice("people", PEOPLE if (anchors, neck) == ("identity", "one") else PEOPLE[:1], PEOPLE[0]),
        rotation=reader.choice("rotation", ROTATIONS), scale=reader.choice("scale", SCALES),
        features=reader.choices("features", FEATURES), facing=reader.choice("facing", FACINGS, "none"),
        generator=_declaration(reader, kind) if kind == "generator" or (kind == "official" and "generator" in raw) else None,
        tracked=_tracked(reader.table("tracked")) if "tracked" in raw else None,
        minor=raw["version"][1],
    )


def _declaration(reader: _Fields, kind: str) -> GeneratorDeclaration:
    table = reader.table("generator")
    return GeneratorDeclaration(table.choice("prior", SEEDINGS if kind == "official" else PRIORS), table.sizes("config"))


def _tracked(table: _Fields) -> TrackedHead:
    return TrackedHead(table.text("name"), table.text("sha256"), _layout(table.table("psi")))


def _layout(table: _Fields) -> PsiLayout:
    return PsiLayout(*(table.count(key, 0, MAX_COMPONENTS) for key in ("expression", "jaw", "eyes", "eyelids")))


def _check_version(path: Path, raw: Mapping[str, Any]) -> None:
    if raw.get("format") != FORMAT_NAME:
        raise PackError(f"{path}: not an avatar pack (manifest format is {raw.get('format')!r})")
    version = raw.get("version")
    if not (isinstance(version, list) and len(version) == 2 and all(type(v) is int and v >= 0 for v in version)):
        raise PackError(f"{path}: manifest has no valid format version")
    if version[0] != FORMAT_MAJOR:
        raise PackError(f"{path}: pack format {version[0]}.{version[1]}, this program reads format {FORMAT_MAJOR}.x",
                        f"a program version that reads format {version[0]} is needed")


class _Fields:
    """Reads typed fields of a JSON object; every failure names the field."""

    def __init__(self, path: Path, raw: Mapping[str, Any], prefix: str = "") -> None:
        self._path, self._raw, self._prefix = path, raw, prefix

    def table(self, key: str) -> _Fields:
        value = self._get(key, None, dict)
        return _Fields(self._path, value, f"{self._prefix}{key}.")

    def text(self, key: str, default: str | None = None) -> str:
        return self._get(key, default, str)

    def count(self, key: str, low: int, high: int) -> int:
        value = self._get(key, None, int)
        if isinstance(value, bool) or not low <= value <= high:
            raise self._error(key, f"must be a whole number in {low}..{high}")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise self._error(key, f"must be one of {', '.join(allowed)}")
        return value

    def choices(self, key: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        values = self._get(key, [], list)
        if len(set(map(str, values))) != len(values) or any(v not in allowed for v in values):
            raise self._error(key, f"may list {', '.join(allowed)}, each once")
        return tuple(values)

    def sizes(self, key: str) -> str:
        """A table of plain numbers and words, one level of tables deep, as canonical JSON text."""
        value = self._get(key, None, dict)
        for leaf in [leaf for entry in value.values() for leaf in (entry.values() if isinstance(entry, dict) else [entry])]:
            if not ((isinstance(leaf, str) and len(leaf) <= _LONGEST_WORD)
                    or (isinstance(leaf, int | float) and -_LARGEST_SIZE <= leaf <= _LARGEST_SIZE)):
                raise self._error(key, "may hold numbers of ordinary size and short words only")
        return json.dumps(value, sort_keys=True)

    def _get(self, key: str, default: Any, kind: type) -> Any:
        value = self._raw.get(key, default)
        if not isinstance(value, kind):
            raise self._error(key, "is missing or of the wrong type")
        return value

    def _error(self, key: str, reason: str) -> PackError:
        return PackError(f"{self._path}: manifest field '{self._prefix}{key}' {reason}")
