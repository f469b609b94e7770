"""Exported web pages in a real Chromium, against the float64 reference."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.pack import AvatarPack
from core.avatar.sources import load_studio_pack
from core.errors import InputError, OutputError
from core.export import web
from core.export.web import WebSettings, export_web
from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.head.presets import preset
from core.render.benchmark import psnr
from core.render.renderer import open_renderer
from core.tracking.motion_clip import MotionClip
from core.types import HeadParams
from tests.avatar.conftest import Sample, anchored_identity, make_sample
from tests.export.pages import OpenPage, chromium, reference_picture
from tests.export.people import somebody

PARITY_DB = 40.0  # promised; positions in steps of 10 micrometres and 8-bit colours leave about 50
SIZE = 128


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def open_page(browser):
    """Opens pages; at the end none of them may have complained, or asked for anything but itself."""
    opened = []

    def open_(path, width=320, height=320, script="", **context) -> OpenPage:
        page = browser.new_page(viewport={"width": width, "height": height}, **context)
        if script:
            page.add_init_script(script)
        opened.append(OpenPage(page, path))
        if opened[-1].is_ready:
            opened[-1].run("agora.pause()")
        return opened[-1]

    yield open_
    for page in opened:
        assert page.complaints == []
        assert [url for url in page.requests if not url.startswith("data:")] == [page.path.as_uri()]
        page.page.close()


def soft(sample: Sample, rng) -> Sample:
    """The same pack and person, whose Gaussians fade as they look away."""
    normal = rng.standard_normal((len(sample.identity), 3))
    person = replace(sample.identity, normal=(normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32),
                     closed=rng.uniform(size=len(normal)).round().astype(np.float32))
    return Sample(replace(sample.pack, manifest=replace(sample.pack.manifest, facing="soft")), person)


def moving(rng, size: int, frames: int = 24) -> MotionClip:
    """A face that wanders, at 12 frames a second."""
    psi = 0.3 * np.cumsum(rng.standard_normal((frames, size)), 0).astype(np.float32) / np.sqrt(frames)
    blank = HeadParams.neutral(size - 9)
    params = tuple(replace(blank.with_psi(row), head_rotation=0.4 * row[:3], time_ns=i * 83_333_333) for i, row in enumerate(psi))
    return MotionClip(params, tuple(f"e{i}" for i in range(size - 9)))


def turned(rng, size: int) -> HeadParams:
    params = HeadParams.neutral(size - 9).with_psi((0.4 * rng.standard_normal(size)).astype(np.float32))
    return replace(params, head_rotation=(0.3 * rng.standard_normal(3)).astype(np.float32))


def assert_parity(page: OpenPage, pack: AvatarPack, person: Identity, params: HeadParams, view, size: int = SIZE) -> float:
    """Over white and over nothing. Returns how close it is."""
    yaw, pitch = view
    drawn = page.picture(params.psi(), yaw=yaw, pitch=pitch, width=size, height=size,
                         rotation=[float(v) for v in params.head_rotation], translation=None)
    expected = reference_picture(pack, person, params, yaw, pitch, size)
    white = [np.clip(rgba[..., :3] + 1 - rgba[..., 3:], 0, 1) for rgba in (drawn, expected)]
    worst = min(psnr(drawn, expected), psnr(*white))
    assert worst >= PARITY_DB
    return worst


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample("relative")


@pytest.fixture(scope="module")
def people(sample) -> list[Identity]:
    rng = np.random.default_rng(8)
    return [sample.identity, *(replace(anchored_identity(rng, count), name=f"<person & {count}>") for count in (2900, 1100))]


@pytest.fixture(scope="module")
def path(sample, people, tmp_path_factory):
    """A page of three synthetic people and a motion."""
    out = tmp_path_factory.mktemp("web") / "page.html"
    export_web(sample.pack, people, moving(np.random.default_rng(2), 14), out, WebSettings(title="Three <people>"))
    return out


# ------------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("convention", ["relative", "additive", "soft"])
def test_pictures_equal_the_reference(open_page, tmp_path, generator, convention):
    """Every way in which packs move Gaussians, neck and gaze direction included."""
    made = soft(make_sample("relative"), generator) if convention == "soft" else make_sample(convention)
    export_web(made.pack, [made.identity], None, tmp_path / "page.html")
    page = open_page(tmp_path / "page.html")
    for view in ((0, 0), (-50, 25)):
        assert_parity(page, made.pack, made.identity, turned(generator, 14), view)


def test_a_page_without_a_basis(open_page, tmp_path, sample, generator):
    """Packs whose people only turn."""
    manifest = replace(sample.pack.manifest, components=(0, 0, 0, 0), features=())
    still = [replace(basis, planes=basis.planes[:0, :0], steps=basis.steps[:0, :0], component=basis.component[:0],
                     blocks=basis.blocks[:0], components=0) for basis in sample.pack.basis]
    silent = replace(sample.pack.regressor, features=(), weights=(np.zeros((0, 21), np.float32),),
                     biases=(np.zeros(0, np.float32),), linear={})
    pack = replace(sample.pack, manifest=manifest, basis=tuple(still), regressor=silent)
    export_web(pack, [sample.identity], None, tmp_path / "page.html")
    assert_parity(open_page(tmp_path / "page.html"), pack, sample.identity, turned(generator, 14), (20, 0))


def test_a_studio_person(open_page, tmp_path):
    """Of full size; the processor's renderer stands in for the reference, which would take a quarter of a minute."""
    pack, person, view = load_studio_pack(), somebody(), {"width": 96, "height": 96}
    size = export_web(pack, [person], None, tmp_path / "page.html")
    assert size == (tmp_path / "page.html").stat().st_size < 17e6
    page, smile = open_page(tmp_path / "page.html"), preset(load_open_head(), "smile").head_params()
    avatar, camera = Avatar(pack, person), orbit_camera(np.radians(25), np.radians(5), 96, 96)
    expected = open_renderer("cpu").render(avatar.drive(smile), camera) / 255
    smiling = page.picture(smile.psi(), yaw=25, pitch=5, **view)
    assert psnr(smiling, expected) > PARITY_DB
    page.run("agora.setScores({mouthSmileLeft: 1, mouthSmileRight: 1, jawOpen: 0.5, eyeLookUpLeft: 1})")
    assert page.state("live")
    assert psnr(page.picture(yaw=25, pitch=5, **view), smiling) < PARITY_DB


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_parity_of_a_studio_person(open_page, tmp_path):
    """Five views of four faces."""
    pack, person, head = load_studio_pack(), somebody(), load_open_head()
    export_web(pack, [person], None, tmp_path / "page.html")
    page, found = open_page(tmp_path / "page.html"), []
    for face in ("neutral", "smile", "jaw open", "blink"):
        for view in ((0, 0), (-45, 0), (45, 0), (0, 30), (30, -20)):
            found.append(assert_parity(page, pack, person, preset(head, face).head_params(), view, 256))
    print(f"\nparity of a web page: {min(found):.1f} dB at worst, {np.mean(found):.1f} dB on average")


def test_the_canvas_shows_the_picture_upright(open_page, sample, tmp_path):
    """What a visitor sees, between the title and the faded end of the bust."""
    export_web(sample.pack, [sample.identity], None, tmp_path / "page.html", WebSettings(background="white"))
    page = open_page(tmp_path / "page.html", 700, 400)
    page.until("agora.state.pictures > 0 && getComputedStyle(document.getElementById('view')).opacity === '1'")
    page.run("agora.setView({yaw: 20})")
    page.until_drawn()
    seen = np.asarray(Image.open(io.BytesIO(page.page.screenshot())).convert("RGB")) / 255
    rgba = page.picture(np.zeros(14), yaw=20, width=700, height=400)
    expected = rgba[..., :3] + 1 - rgba[..., 3:]
    assert psnr(seen[120:240], np.clip(expected, 0, 1)[120:240]) > 40


def test_browsers_without_the_newest_parts_show_the_same(open_page, path):
    old = open_page(path, script="delete window.DecompressionStream; delete Uint8Array.fromBase64;")
    assert old.run("typeof DecompressionStream") == "undefined"
    still = {"width": 64, "height": 64, "rotation": [0, 0.2, 0], "translation": None}
    np.testing.assert_array_equal(old.picture(np.ones(14) * 0.1, **still),
                                  open_page(path).picture(np.ones(14) * 0.1, **still))


@pytest.mark.parametrize(("script", "words"), [
    ("HTMLCanvasElement.prototype.getContext = () => null", "WebGL2"),
    ("WebGL2RenderingContext.prototype.getExtension = () => null", "float textures")])
def test_browsers_that_cannot_are_told_why(open_page, path, script, words):
    page = open_page(path, script=script)
    assert not page.is_ready
    assert words in page.page.inner_text("#notice")


# ------------------------------------------------------------------------------------------------------------- controls


def test_people_are_chosen_by_click_key_and_script(open_page, path, sample, people, generator):
    page = open_page(path)
    params = turned(generator, 14)
    page.page.click(".person >> nth=1")
    page.until("agora.state.identity === 1")
    assert_parity(page, sample.pack, people[1], params, (0, 0))
    page.page.keyboard.press("ArrowRight")
    page.until("agora.state.identity === 2")
    assert_parity(page, sample.pack, people[2], params, (0, 0))
    assert page.page.inner_text("#who") == people[2].name
    page.page.keyboard.press("ArrowRight")
    page.until("agora.state.identity === 0")
    assert page.run("[...document.querySelectorAll('.person')].map(one => one.ariaChecked)") == ["true", "false", "false"]
    page.run("agora.setIdentity(1)")
    assert page.state("identity") == 1


def test_the_view_follows_the_hand_within_limits(open_page, path):
    page = open_page(path)
    mouse = page.page.mouse
    mouse.move(100, 120)
    mouse.down()
    mouse.move(60, 140, steps=3)
    mouse.up()
    page.until("agora.state.yaw > 9 && agora.state.pitch > 4")
    for _ in range(4):
        mouse.move(300, 100)
        mouse.down()
        mouse.move(10, 200, steps=3)
        mouse.up()
    page.until("agora.state.yaw > 59.9 && agora.state.pitch > 34.9")
    assert page.state("yaw") <= 60.001
    assert page.state("pitch") <= 35.001
    before = page.state("distance")
    mouse.wheel(0, -100)
    page.until(f"agora.state.distance < {0.9 * before}")
    mouse.dblclick(160, 120)
    page.until("agora.state.yaw === 0 && agora.state.pitch === 0")
    assert page.state("distance") == pytest.approx(1.3)
    page.page.keyboard.press("Shift+ArrowRight")
    page.until("agora.state.yaw > 4.9")


def test_the_canvas_follows_the_window(open_page, path):
    page = open_page(path, 300, 400, device_scale_factor=3)
    page.until("agora.state.pictures > 0")
    assert (page.state("width"), page.state("height")) == (600, 800)  # of three device pixels a point, two are drawn
    page.page.set_viewport_size({"width": 520, "height": 260})
    page.until("agora.state.width === 1040 && agora.state.height === 520")


def test_a_lost_device_comes_back(open_page, path):
    page = open_page(path)
    page.run("agora.setIdentity(1)")
    before = page.picture(np.zeros(14), width=64, height=64)
    page.run("void (window.loss = document.getElementById('view').getContext('webgl2').getExtension('WEBGL_lose_context'))")
    page.run("loss.loseContext()")
    page.until("!document.getElementById('cover').hidden")
    page.run("setTimeout(() => loss.restoreContext())")
    page.until("document.getElementById('cover').hidden")
    page.until_drawn()
    np.testing.assert_array_equal(page.picture(np.zeros(14), width=64, height=64), before)


def test_sliders_move_the_face_until_it_is_relaxed(open_page, path):
    page = open_page(path)
    rest = page.picture(width=64, height=64)
    page.page.keyboard.press("e")
    assert page.page.is_visible("#panel")
    page.page.fill("#slider-jaw", "1")
    assert psnr(page.picture(width=64, height=64), rest) < 35
    page.page.click("#relax")
    np.testing.assert_array_equal(page.picture(width=64, height=64), rest)
    page.page.keyboard.press("Escape")
    assert page.page.is_hidden("#panel")


def test_the_motion_plays_and_is_sought(open_page, path):
    page = open_page(path)
    page.run("agora.seek(0)")
    first = page.picture(width=64, height=64)
    page.page.keyboard.press(" ")
    page.until("agora.state.playing && agora.state.seconds > 0.2")
    page.until_drawn()
    assert psnr(page.picture(width=64, height=64), first) < 35
    page.page.click("#play")
    assert not page.state("playing")
    page.page.fill("#scrubber", "1.25")
    assert page.state("seconds") == pytest.approx(1.25)
    clip = moving(np.random.default_rng(2), 14)
    shift = page.run("agora.state.seconds") * 12
    assert shift == pytest.approx(15, abs=0.01)
    by_hand = page.picture(clip.params[15].psi(), width=64, height=64)
    assert psnr(page.picture(width=64, height=64), by_hand) > 40


def test_calm_visitors_start_the_motion_themselves(open_page, path, browser):
    page = browser.new_page(reduced_motion="reduce")
    calm = OpenPage(page, path)
    assert not calm.state("playing")
    page.emulate_media(reduced_motion="no-preference")
    page.reload()
    assert calm.run("agora.ready.then(() => agora.state.playing)")
    page.close()


def test_scripts_drive_the_face(open_page, path):
    page = open_page(path)
    page.run("window.postMessage({type: 'agora-psi', psi: Array(14).fill(0.1)})")
    page.until("agora.state.live")
    np.testing.assert_array_equal(page.picture(width=64, height=64),
                                  page.picture(np.full(14, 0.1), width=64, height=64, rotation=[0, 0, 0], translation=None))
    page.run("window.postMessage({type: 'agora-psi', psi: [1, 2]})")
    page.run("window.postMessage({type: 'agora-psi', psi: Array(14).fill(NaN)})")
    page.run("window.postMessage('something else')")
    page.run("new Promise(done => setTimeout(done, 50))")
    assert page.state("live")
    page.run("agora.setPsi(null)")
    assert not page.state("live")
    assert [text.split(":")[1] for text in page.complaints] == [" psi must be 14 finite numbers"] * 2
    page.complaints.clear()


def test_small_screens_and_screen_readers(open_page, path):
    page = open_page(path, 340, 600)
    page.page.click("#show-panel")
    for name in ("bar", "panel", "tools"):
        box = page.page.locator(f"#{name}").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 340
    assert page.run("document.documentElement.scrollWidth") == 340
    controls = "[...document.querySelectorAll('button, input')]"
    assert page.run(f"{controls}.filter(one => !(one.ariaLabel || one.textContent || one.labels?.length)).length") == 0
    assert page.page.title() == "Three <people>"
    page.page.keyboard.press("Escape")
    page.page.click("#show-help")
    assert "CC0" in page.page.inner_text("#help") or "synthetic" in page.page.inner_text("#help")
    page.page.click("#close-help")


# ------------------------------------------------------------------------------------------------------------ the file


def test_equal_people_give_equal_pages(sample, tmp_path):
    for name in ("a.html", "b.html"):
        export_web(sample.pack, [sample.identity], None, tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_what_cannot_be_exported_is_explained(sample, tmp_path):
    pack, one, out = sample.pack, [sample.identity], tmp_path / "page.html"
    out.write_text("older")
    stranger = replace(sample.identity, name="stranger", latent=np.zeros(3, np.float32))
    for arguments, error, words in [
        ((pack, [], None, out), InputError, "0 people"),
        ((pack, one * 33, None, out), InputError, "33 people"),
        ((pack, [stranger], None, out), InputError, "stranger does not belong"),
        ((pack, one, moving(np.random.default_rng(0), 20), out), InputError, "14 numbers, 20 given"),
        ((pack, one, None, out, WebSettings(background="pink")), InputError, "pink"),
        ((pack, one, None, tmp_path / "page.pdf"), OutputError, "must end in .html"),
        ((pack, one, None, tmp_path / "no" / "page.html"), OutputError, "does not exist"),
    ]:
        with pytest.raises(error, match=words) as raised:
            export_web(*arguments)
        assert "\n" not in str(raised.value)
    assert out.read_text() == "older"


def test_a_page_that_cannot_be_written_leaves_the_older_one(sample, tmp_path, monkeypatch):
    out = tmp_path / "page.html"
    out.write_text("older")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(web, "write_atomically", full)
    with pytest.raises(OutputError, match="No space left"):
        export_web(sample.pack, [sample.identity], None, out)
    assert out.read_text() == "older"


def test_pages_grow_only_so_large(sample, tmp_path, monkeypatch):
    monkeypatch.setattr(web, "LARGEST_PAGE", 1000)
    with pytest.raises(InputError, match="fewer people"):
        export_web(sample.pack, [sample.identity], None, tmp_path / "page.html")
