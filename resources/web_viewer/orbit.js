// The hand on the camera: drag, pinch, wheel and keys turn and near it, within limits; it follows softly.

const DEGREES = Math.PI / 180;
const YAW = 60 * DEGREES, PITCH = 35 * DEGREES;
const NEAREST = 0.6, FARTHEST = 2.6; // of the portrait's distance
const TURN = 0.0045; // radians a pixel
const SOFTNESS = 0.07; // seconds in which it comes two thirds of the way
const STILL = 1e-4;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Orbit {
  // surface: the element that is dragged; moved(): called when there is something to draw.
  constructor(surface, distance, soft, moved) {
    Object.assign(this, { home: { yaw: 0, pitch: 0, distance }, soft, moved });
    this.wanted = { ...this.home };
    this.now = { ...this.home };
    this.pointers = new Map();
    surface.addEventListener("pointerdown", (event) => this.press(surface, event));
    surface.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"])
      surface.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    surface.addEventListener("dblclick", () => this.reset());
    surface.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.near(Math.exp(clamp(event.deltaY, -120, 120) * 0.0016));
    }, { passive: false });
  }

  press(surface, event) {
    surface.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const apart = this.apart();
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    const share = 1 / this.pointers.size;
    this.turn(-(event.clientX - before[0]) * TURN * share, (event.clientY - before[1]) * TURN * share);
    if (apart) this.near(apart / this.apart());
  }

  // Pixels between two fingers, 0 for other numbers of them.
  apart() {
    if (this.pointers.size !== 2) return 0;
    const [[x0, y0], [x1, y1]] = [...this.pointers.values()];
    return Math.max(Math.hypot(x1 - x0, y1 - y0), 1);
  }

  turn(yaw, pitch) {
    this.set({ yaw: this.wanted.yaw + yaw, pitch: this.wanted.pitch + pitch });
  }

  near(factor) {
    this.set({ distance: this.wanted.distance * factor });
  }

  reset() {
    this.set(this.home);
  }

  // at once: without the soft approach.
  set({ yaw = this.wanted.yaw, pitch = this.wanted.pitch, distance = this.wanted.distance }, atOnce = !this.soft()) {
    this.wanted = { yaw: clamp(yaw, -YAW, YAW), pitch: clamp(pitch, -PITCH, PITCH),
      distance: clamp(distance, NEAREST * this.home.distance, FARTHEST * this.home.distance) };
    if (atOnce) this.now = { ...this.wanted };
    this.moved();
  }

  // Let so much time pass. Returns whether it is still on its way.
  step(seconds) {
    const share = 1 - Math.exp(-seconds / SOFTNESS);
    let far = 0;
    for (const key of Object.keys(this.now)) {
      this.now[key] += share * (this.wanted[key] - this.now[key]);
      far = Math.max(far, Math.abs(this.wanted[key] - this.now[key]));
    }
    if (far < STILL) this.now = { ...this.wanted };
    return far >= STILL;
  }
}
