"""The driver's sound in the new video: copied as it is where the container allows, encoded anew elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from core.media.ffmpeg import av, open_input
from core.media.formats import VideoFormat

ENCODED_RATE = 48_000


class AudioTrack:
    """Feeds the sound of one file into another, as far as the picture has come.

    Args:
        output: container to write to; the track adds its stream.
        source: file whose first sound is taken.
        start: time in the source, seconds, that becomes time 0.
        target: format of the output.
    """

    def __init__(self, output: av.container.OutputContainer, source: Path, start: Fraction, target: VideoFormat) -> None:
        self._input = open_input(source)
        self._output = output
        self._start = start
        self._stream = self._input.streams.audio[0]
        if self._stream.codec_context.codec.canonical_name in target.audio_copied:
            self._packets = self._copied(output.add_stream_from_template(self._stream))
        else:
            encoder = output.add_stream(target.audio_codec, rate=ENCODED_RATE)
            encoder.codec_context.layout = "stereo" if self._stream.codec_context.channels > 1 else "mono"
            self._packets = self._encoded(encoder)
        self._next = next(self._packets, None)

    def write_until(self, seconds: float) -> None:
        """Write the sound that starts before `seconds`."""
        while self._next is not None and self._next.pts * self._next.time_base < seconds:
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def finish(self, seconds: float) -> None:
        """Write what is left of the sound before `seconds`."""
        self.write_until(seconds)

    def close(self) -> None:
        """Let go of the source."""
        self._packets.close()
        self._input.close()

    def _demuxed(self) -> Iterator[av.Packet]:
        packets = self._input.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:  # a torn end: the sound ends there
                return
            if packet is None:
                return
            yield packet

    def _copied(self, stream: av.AudioStream) -> Iterator[av.Packet]:
        last = -1
        for packet in self._demuxed():
            if packet.size == 0 or packet.pts is None:
                continue
            pts = packet.pts - round(self._start / packet.time_base)
            if pts < 0 or pts <= last:
                continue
            packet.pts = packet.dts = last = pts
            packet.stream = stream
            yield packet

    def _encoded(self, stream: av.AudioStream) -> Iterator[av.Packet]:
        context = stream.codec_context
        context.open()
        resampler = av.AudioResampler(context.format, context.layout, ENCODED_RATE, frame_size=context.frame_size or 1024)
        samples = 0
        for decoded in self._decoded():
            for frame in resampler.resample(decoded):
                frame.pts, frame.time_base = samples, Fraction(1, ENCODED_RATE)
                samples += frame.samples
                yield from stream.encode(frame)
        yield from stream.encode()

    def _decoded(self) -> Iterator[av.AudioFrame]:
        for packet in self._demuxed():
            try:
                frames = self._stream.decode(packet)
            except av.FFmpegError:
                continue
            yield from (f for f in frames if f.pts is None or f.pts * f.time_base >= self._start)
