"""Reading: time stamps, orientation, pixel formats, damage and limits."""

from __future__ import annotations

import shutil
import wave
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from core.errors import InputError
from core.media import hdr
from core.media.image import read_image
from core.media.video_reader import open_video
from tests.media.clips import level_of, make_clip, picture

VARIABLE = [0, 40, 55, 120, 121, 400, 433]


def frames_of(path):
    return list(open_video(path))


def test_time_stamps_of_variable_frame_rate_are_exact(tmp_path):
    frames = frames_of(make_clip(tmp_path / "vfr.mp4", VARIABLE))
    assert [f.time_ns for f in frames] == [t * 1_000_000 for t in VARIABLE]
    assert [f.index for f in frames] == list(range(len(VARIABLE)))
    for index, frame in enumerate(frames):  # 3 levels: 8-bit colour conversion both ways plus H.264
        assert level_of(frame.image) == pytest.approx(40 + 9 * index, abs=3)


def test_time_is_counted_from_the_first_frame(tmp_path):
    path = make_clip(tmp_path / "late.mkv", [5000, 5040, 5080])
    assert [f.time_ns for f in frames_of(path)] == [0, 40_000_000, 80_000_000]
    assert open_video(path).info.start == 5


def test_a_clip_can_be_read_twice(tmp_path):
    reader = open_video(make_clip(tmp_path / "a.mp4", [0, 40, 80]))
    assert [f.time_ns for f in reader] == [f.time_ns for f in reader]


def test_facts_before_reading(tmp_path):
    reader = open_video(make_clip(tmp_path / "a.mp4", list(range(0, 1000, 40)), audio="aac"))
    assert (reader.width, reader.height, reader.frame_count) == (96, 64, 25)
    assert reader.has_audio
    assert reader.fps == pytest.approx(25, rel=0.01)
    assert reader.duration == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotation_of_the_display_matrix_is_applied(tmp_path, degrees):
    """The file asks for a counter-clockwise turn, which is numpy's rot90."""
    path = make_clip(tmp_path / "phone.mp4", [0, 40], rotation=degrees)
    expected = np.rot90(picture(0), degrees // 90)
    image = frames_of(path)[0].image
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 6  # chroma subsampling at the red quarter's edge
    reader = open_video(path)
    assert (reader.height, reader.width) == expected.shape[:2]


@pytest.mark.parametrize(("codec", "pixel_format", "suffix"), [
    ("libx264", "yuv444p", ".mp4"), ("libx264", "yuv422p10le", ".mp4"), ("libx265", "yuv420p10le", ".mp4"),
    ("ffv1", "bgr0", ".mkv"), ("ffv1", "gray", ".mkv"), ("mjpeg", "yuvj420p", ".avi"), ("libvpx-vp9", "yuva420p", ".webm"),
])
def test_pixel_formats_become_rgb8(tmp_path, codec, pixel_format, suffix):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {"strict": "-1"}
    path = make_clip(tmp_path / f"odd{suffix}", [0, 40, 80], codec=codec, pixel_format=pixel_format, options=options,
                     time_base=Fraction(1, 25) if suffix == ".avi" else Fraction(1, 1000))
    frames = frames_of(path)
    assert len(frames) == 3
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image.flags.c_contiguous
    assert level_of(frames[1].image) == pytest.approx(49, abs=5)  # lossy codecs at their default quality


def test_odd_sizes(tmp_path):
    path = make_clip(tmp_path / "odd.mkv", [0, 40], codec="ffv1", pixel_format="bgr0", width=33, height=17)
    assert frames_of(path)[0].image.shape == (17, 33, 3)


def test_pixels_become_square(tmp_path):
    path = make_clip(tmp_path / "wide.mp4", [0, 40], tags={"sample_aspect_ratio": Fraction(2, 1)})
    assert frames_of(path)[0].image.shape == (64, 192, 3)


@pytest.mark.parametrize(("transfer", "code"), [(hdr.Transfer.PQ, 0.58), (hdr.Transfer.HLG, 0.75)])
def test_diffuse_white_of_hdr_is_white(transfer, code):
    """BT.2408: diffuse white (203 nits) sits at 58 % PQ and 75 % HLG."""
    assert hdr.linear_light(transfer)[round(code * 4095)] == pytest.approx(1.0, rel=0.02)
    grey = np.full((2, 2, 3), round(code * 65535), np.uint16)
    out = hdr.to_srgb(grey, transfer)
    assert out.min() > 235
    assert np.ptp(out.astype(int)) <= 2  # neutral stays neutral: rows of the primaries' matrix sum to 1 within its 4 digits


def test_hdr_is_monotonic_and_keeps_black():
    ramp = np.repeat(np.linspace(0, 65535, 256).astype(np.uint16)[None, :, None], 3, axis=2)
    for transfer in hdr.Transfer:
        out = hdr.to_srgb(ramp, transfer)[0, :, 0].astype(int)
        assert out[0] == 0
        assert (np.diff(out) >= 0).all()


def test_hdr_clip_is_tone_mapped(tmp_path):
    path = make_clip(tmp_path / "hdr.mp4", [0, 40], codec="libx265", pixel_format="yuv420p10le",
                     options={"x265-params": "log-level=none:bframes=0:frame-threads=1:pools=none"},
                     tags={"color_trc": 16, "colorspace": 9, "color_primaries": 9})
    plain = make_clip(tmp_path / "sdr.mp4", [0, 40])
    assert level_of(frames_of(path)[1].image) < level_of(frames_of(plain)[1].image)  # 49 of 255 in PQ is a few nits: near black


def test_damaged_packets_are_skipped_and_counted(tmp_path):
    """Every frame of MJPEG stands alone, so blanking one costs that one."""
    path = make_clip(tmp_path / "m.avi", list(range(30)), codec="mjpeg", pixel_format="yuvj420p", time_base=Fraction(1, 25))
    content = bytearray(path.read_bytes())
    start = content.find(b"\xff\xd8", len(content) // 2)
    content[start:content.find(b"\xff\xd9", start) + 2] = bytes(content.find(b"\xff\xd9", start) + 2 - start)
    path.write_bytes(content)
    reader = open_video(path)
    frames = list(reader)
    assert len(frames) == 29
    assert reader.damaged == 1
    stamps = [f.time_ns for f in frames]
    assert stamps == sorted(set(stamps))


def test_a_cut_fragmented_file_gives_what_it_has(tmp_path):
    whole = make_clip(tmp_path / "w.mp4", list(range(0, 4000, 40)), options={"g": "25", "bf": "0"},
                      movflags="frag_keyframe+empty_moov+default_base_moof")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    count = len(frames_of(cut))
    assert 25 <= count < 100


def bad_files(folder):
    (folder / "text.mp4").write_text("this is not a video\n" * 50)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\n{make_clip(folder / 'inner.mp4', [0, 40])}\n#EXT-X-ENDLIST\n")
    whole = make_clip(folder / "whole.mp4", list(range(0, 400, 40)))
    (folder / "cut.mp4").write_bytes(whole.read_bytes()[:-600])  # the index lies at the end
    (folder / "noise.mp4").write_bytes(np.random.default_rng(1).bytes(5000))
    with wave.open(str(folder / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16_000))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    (folder / "folder.mp4").mkdir()
    return {"missing.mp4": "does not exist", "text.mp4": "text file", "empty.mp4": "empty", "list.mp4": "text file",
            "cut.mp4": "cut off", "noise.mp4": "no video", "sound.wav": "", "broken.jpg": "picture", "folder.mp4": "folder"}


def test_bad_files_are_named_in_one_line(tmp_path):
    for name, expected in bad_files(tmp_path).items():
        with pytest.raises(InputError, match=name) as caught:
            list(open_video(tmp_path / name))
        assert expected in caught.value.message
        assert "\n" not in str(caught.value)


def test_zero_frames(tmp_path):
    import av

    path = tmp_path / "none.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.open()
        container.start_encoding()
    with pytest.raises(InputError, match=r"none\.mp4"):
        open_video(path)


def test_absurd_dimensions_are_refused_before_anything_is_allocated(tmp_path):
    """A PNG header that claims 100,000 x 100,000 pixels; the same in an AVI's stream header."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    video = make_clip(tmp_path / "huge.avi", [0, 1], codec="rawvideo", pixel_format="bgr24", time_base=Fraction(1, 25))
    content = bytearray(video.read_bytes())
    where = content.find(b"strf") + 12
    content[where:where + 8] = struct.pack("<II", 100_000, 100_000)
    video.write_bytes(content)
    for name in ("huge.png", "huge.avi"):
        with pytest.raises(InputError, match=r"too large|cannot be read|no picture"):
            list(open_video(tmp_path / name))


def test_pictures_are_upright_rgb_whatever_they_hold(tmp_path):
    upright = Image.fromarray(picture(3))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter clockwise when shown
    upright.rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    upright.convert("L").save(tmp_path / "grey.png")
    upright.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    upright.quantize(64).save(tmp_path / "palette.png")
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "deep.png")
    clear = np.zeros((8, 8, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "clear.png")

    for name in ("turned.jpg", "cmyk.jpg", "palette.png"):
        difference = np.abs(read_image(tmp_path / name).astype(int) - picture(3))
        assert np.median(difference) <= 8, name  # JPEG, CMYK and palette rounding
    assert read_image(tmp_path / "grey.png").shape == (64, 96, 3)
    assert read_image(tmp_path / "deep.png")[0, 0].tolist() == [40_000 >> 8] * 3
    assert read_image(tmp_path / "clear.png")[0, 0].tolist() == [128] * 3


def test_a_picture_is_a_clip_of_one_frame(tmp_path):
    Image.fromarray(picture(2)).save(tmp_path / "face.png")
    shutil.copy(tmp_path / "face.png", tmp_path / "face.mp4")  # the content decides, not the name
    for name in ("face.png", "face.mp4"):
        reader = open_video(tmp_path / name)
        frames = list(reader)
        assert (reader.frame_count, len(frames), frames[0].time_ns) == (1, 1, 0)
        np.testing.assert_array_equal(frames[0].image, picture(2))


@pytest.mark.media
def test_real_clips_have_all_their_frames(media):
    assert len(frames_of(media / "driving" / "d0.mp4")) == 78


@pytest.mark.parametrize("name", ["wound.mp4", "raw.h264", "late.mkv"])
def test_every_lap_is_the_whole_clip(tmp_path, name):
    """Also of a raw stream, which cannot be wound back, and of one whose clock does not begin at zero."""
    times = [0, 40, 80, 120, 160] if name != "late.mkv" else [5000, 5040, 5080, 5120]
    reader = open_video(make_clip(tmp_path / name, times))
    once = [(frame.index, frame.time_ns, level_of(frame.image)) for frame in reader]
    laps = reader.laps()
    for _ in range(3):
        assert [(frame.index, frame.time_ns, level_of(frame.image)) for frame in next(laps)] == once
    laps.close()
