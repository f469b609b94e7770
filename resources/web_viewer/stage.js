// The loop that draws: what is to be seen is moved on the device, its depths come back, are sorted, and then it is drawn.
//
// The device is never waited for. A picture is drawn in the first display frame after its own depths have arrived, so that the
// order is always that of the very positions that are drawn; the next picture's positions are under way meanwhile.

import { Basis, Person } from "./blend.js";
import { readPart } from "./decode.js";
import { headMotion, orbitCamera } from "./geometry.js";
import { openContext, prepareContext } from "./gpu.js";
import { Regressor } from "./regressor.js";
import { DepthReader, Painter } from "./splat.js";

export class Stage {
  // compose(): what is to be seen now, {psi, rotation, translation, view}, or null when nothing has changed.
  // drawn(milliseconds): called after each picture.
  constructor(canvas, page, compose, drawn) {
    Object.assign(this, { canvas, page, compose, drawn });
    this.gl = openContext(canvas);
    this.person = null;
    this.pending = null;
    this.index = -1;
    this.running = false;
    this.building = null;
    this.lastDrawn = 0;
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.forget();
      this.onLost?.();
    });
    canvas.addEventListener("webglcontextrestored", () => {
      this.build().then(() => this.show(this.index)).then(() => this.onRestored?.(), (error) => this.onFailed?.(error));
    });
  }

  // Shaders and the basis; everything that all people share.
  async build() {
    prepareContext(this.gl);
    const { page, gl } = this;
    const [shared, basis] = [await readPart(page.parts.regressor), await readPart(page.parts.basis)];
    if (gl.isContextLost()) return;
    this.regressor = new Regressor(page.regressor, shared);
    this.painter = new Painter(gl, page.shaders);
    this.reader = new DepthReader(gl);
    this.basis = new Basis(gl, page, basis);
  }

  // Put a person on the stage. Of several calls the last one counts.
  async show(index) {
    this.index = index;
    const arrays = await readPart(this.page.parts[`person_${index}`]);
    if (this.index !== index || this.gl.isContextLost() || !this.basis) return false;
    const before = this.person;
    this.cancelPending();
    this.person = new Person(this.gl, this.page.people[index], arrays);
    if (before) before.delete();
    return true;
  }

  start() {
    if (this.running) return;
    this.running = true;
    const loop = () => {
      if (!this.running) return;
      requestAnimationFrame(loop);
      this.frame();
    };
    requestAnimationFrame(loop);
  }

  frame() {
    if (!this.person || this.gl.isContextLost()) return;
    if (this.pending) {
      if (!this.reader.ready()) return;
      this.draw();
    }
    const scene = this.compose();
    if (!scene) {
      this.lastDrawn = 0;
      return;
    }
    this.pending = this.move(scene);
    this.reader.start(this.person);
  }

  // Tell the device to blend and move the person.
  move({ psi, rotation, translation, view }) {
    const camera = orbitCamera(this.page.optics, view), { person, basis } = this;
    basis.blend(this.regressor.coefficients(person.own, psi));
    const { following, motion } = this.page;
    person.move(basis, headMotion(following, person.about.neckJoint, rotation, translation, motion?.rest), camera);
    return camera;
  }

  draw() {
    const camera = this.pending, { canvas, person } = this;
    this.pending = null;
    this.painter.sort(this.reader.take(person), person.height);
    if (canvas.width !== camera.width || canvas.height !== camera.height)
      [canvas.width, canvas.height] = [camera.width, camera.height];
    this.painter.accumulate(person, camera);
    this.painter.toCanvas(camera);
    this.fade(camera);
    const now = performance.now();
    this.drawn(this.lastDrawn ? now - this.lastDrawn : 0);
    this.lastDrawn = now;
  }

  // Below the portrait's frame the bust fades: there it has been cut off.
  fade({ worldToCamera: m, intrinsics: [, focal, , middle], height }) {
    const [x, y, z] = this.page.optics.floor, depth = m[8] * x + m[9] * y + m[10] * z + m[11];
    const floor = Math.round((100 * (middle + (focal * (m[4] * x + m[5] * y + m[6] * z + m[7])) / depth)) / height);
    if (floor !== this.floor) this.canvas.style.setProperty("--floor", `${floor}%`);
    this.floor = floor;
  }

  // One picture at once, beside the loop: premultiplied RGBA bytes, first row on top.
  picture(scene) {
    this.cancelPending();
    const camera = this.move(scene);
    this.painter.sort(this.reader.now(this.person), this.person.height);
    this.painter.accumulate(this.person, camera);
    return this.painter.toBytes(camera);
  }

  cancelPending() {
    this.pending = null;
    this.reader?.drop();
  }

  // The context is gone, and everything in it.
  forget() {
    this.pending = this.person = this.basis = this.painter = this.reader = null;
  }
}
