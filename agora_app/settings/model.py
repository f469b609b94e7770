"""The settings as typed, range-checked sections. One field, one widget: titles and descriptions feed the preferences."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION = 1


class Section(BaseModel):
    """A group of settings; values out of range are refused, fields that are not known are dropped."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True, frozen=True)


class Appearance(Section):
    theme: Literal["system", "dark", "light"] = Field("system", title="Theme")
    toolbar_text: bool = Field(True, title="Text beside toolbar icons")
    show_performance: bool = Field(False, title="Show frame rate and latency over the picture")


class Source(Section):
    kind: Literal["camera", "video", "motion", "demo"] = "camera"
    camera_id: str = Field("", title="Camera", description="Stable id; empty takes the first camera")
    path: str = Field("", title="File of a video or motion source")
    width: int = Field(1280, ge=0, le=7680, title="Wanted width", description="0 leaves it to the camera")
    height: int = Field(720, ge=0, le=4320, title="Wanted height")
    fps: int = Field(30, ge=5, le=120, title="Wanted frames per second")
    mirror: bool = Field(True, title="Mirror", description="Show yourself as in a mirror")
    rotation: Literal[0, 90, 180, 270] = Field(0, title="Rotation", description="Degrees clockwise")
    loop: bool = Field(True, title="Play files again from the beginning")


class Identity(Section):
    pack: str = Field("", title="Avatar pack", description="Empty: the studio people that ship with the program")
    packs: tuple[str, ...] = ()
    person: str = Field("7", title="Person", description="A seed, or a mix such as 7+42@0.5")
    second: str = Field("", title="Person to compare with")
    compare: Literal["single", "side-by-side"] = "single"


class View(Section):
    canvas: Literal["square", "landscape", "portrait"] = Field("square", title="Shape of the picture")
    size: int = Field(512, ge=128, le=2048, title="Pixels along the shorter side")
    background: str = Field("gradient", title="Background",
                            description="gradient, green, transparent, blur, a colour or a picture file")
    mode: Literal["free", "follow", "orbit"] = Field("free", title="Camera movement")
    landmarks: bool = Field(False, title="Draw landmarks on the camera picture")


class Drive(Section):
    relative: bool = Field(False, title="Drive relative to the pose at the last re-zero")
    brows: float = Field(1.0, ge=0, le=2, title="Brows")
    eyes: float = Field(1.0, ge=0, le=2, title="Eyes")
    jaw: float = Field(1.0, ge=0, le=2, title="Jaw")
    mouth: float = Field(1.0, ge=0, le=2, title="Mouth")
    head: float = Field(1.0, ge=0, le=2, title="Head")


class Tracking(Section):
    smoothing: float = Field(1.0, ge=0, le=4, title="Smoothing", description="0 is off, larger is calmer")
    calibration: str = Field("", title="Calibration profile")
    profiles: dict[str, str] = Field(default_factory=dict, title="Profile last used with each camera")
    drift_hints: bool = Field(True, title="Suggest a new calibration when the old one no longer fits")


class Recording(Section):
    folder: str = Field("", title="Folder", description="Empty: the user's videos folder")
    layout: Literal["avatar", "side-by-side", "alpha"] = Field("avatar", title="What is recorded")
    sound: Literal["auto", "microphone", "source", "none"] = Field("auto", title="Sound",
                                                                    description="auto: the file's own sound, else the microphone")
    microphone: str = Field("", title="Microphone", description="Empty: the system's default")
    audio_delay_ms: int = Field(0, ge=-500, le=500, title="Extra delay of the sound, ms")
    quality: Literal["balanced", "high", "safest"] = Field("balanced", title="Quality")
    label: bool = Field(False, title="Write a provenance label into the picture")


class Output(Section):
    virtual_camera: bool = Field(False, title="Send the picture to a virtual camera")
    osc_enabled: bool = Field(False, title="Send parameters to other programs (OSC / VMC)")
    osc_protocol: Literal["vmc", "osc"] = Field("vmc", title="Protocol")
    osc_host: str = Field("127.0.0.1", title="Address")
    osc_port: int = Field(39539, ge=1, le=65535, title="Port")


class Performance(Section):
    renderer: Literal["auto", "cpu", "opengl", "cuda"] = Field("auto", title="Renderer")
    governor: bool = Field(True, title="Lower the quality to keep the frame rate")
    target_fps: int = Field(30, ge=10, le=120, title="Frame rate to keep")


class Training(Section):
    """The form of the training wizard: whatever fails, it is as the user left it."""

    data_kind: Literal["folder", "synthetic", "photos"] = "synthetic"
    dataset: str = Field("", title="Dataset", description="A folder with dataset.json, made here or by main.py data")
    synthetic_count: int = Field(20000, ge=20, le=2_000_000, title="Pictures", description="More people and faces, better heads")
    synthetic_size: Literal["32", "64", "128", "256", "512"] = Field("128", title="Size, pixels",
                                                                     description="Of each picture; at least the recipe's")
    synthetic_seed: int = Field(0, ge=0, le=2**31 - 1, title="Seed", description="The same seed makes the same pictures")
    photos: str = Field("", title="Photos", description="A folder of pictures, one face in each; you may use all of them")
    data_folder: str = Field("", title="Keep the dataset in", description="Empty: a folder of the program's own")
    recipe: Literal["ci", "desktop", "paper", "file"] = "desktop"
    recipe_file: str = Field("", title="Recipe file", description="A recipe of your own (.json)")
    hours: float = Field(0.0, ge=0, le=10_000, title="Time budget, hours", description="0 leaves it to the recipe")
    batch: int = Field(0, ge=0, le=4096, title="Pictures in a batch",
                       description="0 leaves it to the recipe; fewer need less memory")
    size: Literal["recipe", "16", "32", "64", "128", "256", "512"] = Field(
        "recipe", title="Picture size, pixels", description="Of what the generator makes")
    seed: int = Field(0, ge=0, le=2**31 - 1, title="Seed", description="Of everything random")
    threads: int = Field(0, ge=0, le=512, title="Threads", description="0 takes all cores but one; fewer leave room for others")
    runs_folder: str = Field("", title="Keep the training in", description="Empty: a folder of the program's own")
    components: int = Field(64, ge=1, le=256, title="Blendshapes (K)", description="More follow finer, and draw slower")
    identities: int = Field(50, ge=2, le=100_000, title="People to learn from", description="More take longer")
    expressions: int = Field(100, ge=2, le=100_000, title="Expressions of each", description="More take longer")


class Photo(Section):
    """The form of a new person from photographs, as far as it is remembered."""

    route: Literal["auto", "studio", "generator"] = "auto"
    generator: str = ""
    folder: str = ""


class Exchange(Section):
    """The forms of export and import, as they were used last."""

    format: Literal["ply", "splat", "spz", "glb", "web"] = "web"
    folder: str = ""
    with_motion: bool = True
    with_sequence: bool = False
    motion: str = ""
    face: str = "neutral"
    import_folder: str = ""
    import_seeds: str = "0-7"


class Application(Section):
    wizard_done: bool = False
    consent: bool = Field(False, title="The note on real people's footage has been read")
    recent: tuple[str, ...] = ()


class Settings(Section):
    """Everything. Frozen: `SettingsStore.change` makes a new one."""

    version: int = VERSION
    appearance: Appearance = Field(default_factory=Appearance)
    source: Source = Field(default_factory=Source)
    identity: Identity = Field(default_factory=Identity)
    view: View = Field(default_factory=View)
    drive: Drive = Field(default_factory=Drive)
    tracking: Tracking = Field(default_factory=Tracking)
    recording: Recording = Field(default_factory=Recording)
    output: Output = Field(default_factory=Output)
    performance: Performance = Field(default_factory=Performance)
    training: Training = Field(default_factory=Training)
    photo: Photo = Field(default_factory=Photo)
    exchange: Exchange = Field(default_factory=Exchange)
    application: Application = Field(default_factory=Application)
    shortcuts: dict[str, str] = Field(default_factory=dict, title="Key sequences that differ from the defaults, by action")
