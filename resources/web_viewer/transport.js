// Play, pause and the scrubber.

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export class Transport {
  // clip: null when there is nothing to play; changed(): called when another moment is to be seen.
  constructor(clip, { bar, button, scrubber, time }, changed) {
    Object.assign(this, { clip, button, scrubber, time, changed });
    this.seconds = 0;
    this.playing = false;
    bar.hidden = !clip;
    if (!clip) return;
    button.addEventListener("click", () => this.toggle());
    scrubber.max = clip.duration.toFixed(3);
    scrubber.step = 0.01;
    scrubber.addEventListener("input", () => this.seek(Number(scrubber.value)));
    this.label();
  }

  play() {
    this.setPlaying(Boolean(this.clip));
  }

  pause() {
    this.setPlaying(false);
  }

  toggle() {
    this.setPlaying(!this.playing && Boolean(this.clip));
  }

  setPlaying(playing) {
    this.playing = playing;
    this.button.setAttribute("aria-pressed", String(playing));
    this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.button.title = playing ? "Pause (Space)" : "Play (Space)";
    this.changed();
  }

  seek(seconds) {
    this.seconds = Math.min(Math.max(seconds, 0), this.clip.duration - 1e-3);
    this.label();
    this.changed();
  }

  // Let so much time pass; at its end the clip starts again.
  step(seconds) {
    if (!this.playing) return;
    this.seconds = (this.seconds + seconds) % this.clip.duration;
    this.label();
  }

  label() {
    const { scrubber, clip, seconds } = this, words = `${clock(seconds)} / ${clock(clip.duration)}`;
    scrubber.value = seconds;
    scrubber.style.setProperty("--to", `${(100 * seconds) / clip.duration}%`);
    if (this.time.textContent !== words) this.time.textContent = words;
    scrubber.setAttribute("aria-valuetext", words);
  }

  now(person) {
    return this.clip ? this.clip.at(this.seconds, person) : null;
  }
}
