// Depth order, the Gaussians' quads and the resolve: core/render/opengl.py.

import { Program, Target, Texture, WIDTH } from "./gpu.js";

const ALPHA_MIN = 1 / 255;
const NEAR_PLANE = 0.01;
const LEVELS = 65535;

// Reads a person's depths back without waiting for the device.
export class DepthReader {
  constructor(gl) {
    this.gl = gl;
    this.buffer = gl.createBuffer();
    this.bytes = 0;
    this.fence = null;
  }

  // Ask for the depths of a person whose move pass has been told to the device.
  start(person) {
    const { gl } = this, [layout, width] = this.bindDepths(person), bytes = WIDTH * person.height * 4 * width;
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, this.buffer);
    // Chromium keeps a copy of buffers called READ that it then never reads here, and complains about every picture.
    if (bytes !== this.bytes) gl.bufferData(gl.PIXEL_PACK_BUFFER, bytes, gl.STREAM_COPY);
    this.bytes = bytes;
    gl.readPixels(0, 0, WIDTH, person.height, layout, gl.FLOAT, 0);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    this.fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    this.width = width;
  }

  ready() {
    return this.gl.getSyncParameter(this.fence, this.gl.SYNC_STATUS) === this.gl.SIGNALED;
  }

  // Depths [N] once they are ready.
  take(person) {
    const { gl } = this, depths = new Float32Array(this.bytes / 4);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, this.buffer);
    gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, depths);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    this.drop();
    return everyNth(depths, this.width, person.count);
  }

  // Depths [N], waiting for them.
  now(person) {
    const { gl } = this, [layout, width] = this.bindDepths(person), depths = new Float32Array(WIDTH * person.height * width);
    gl.readPixels(0, 0, WIDTH, person.height, layout, gl.FLOAT, depths);
    return everyNth(depths, width, person.count);
  }

  // Which layout the device gives a single channel in, and how many numbers that is.
  bindDepths(person) {
    const { gl } = this;
    person.target.bind();
    gl.readBuffer(gl.COLOR_ATTACHMENT3);
    return gl.getParameter(gl.IMPLEMENTATION_COLOR_READ_FORMAT) === gl.RED ? [gl.RED, 1] : [gl.RGBA, 4];
  }

  // Forget what was asked for.
  drop() {
    if (this.fence) this.gl.deleteSync(this.fence);
    this.fence = null;
  }
}

function everyNth(values, n, count) {
  if (n === 1) return values.subarray(0, count);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) out[i] = values[n * i];
  return out;
}

// Numbers of the Gaussians from the nearest on: one counting sort over 65536 steps, of some micrometres each.
export class DepthOrder {
  constructor() {
    this.starts = new Uint32Array(LEVELS + 2);
    this.keys = new Uint16Array(0);
  }

  fill(depths, order) {
    const { starts } = this, count = depths.length;
    if (this.keys.length < count) this.keys = new Uint16Array(count);
    const { keys } = this;
    let near = Infinity, far = -Infinity;
    for (let i = 0; i < count; i++) {
      if (depths[i] < near) near = depths[i];
      if (depths[i] > far) far = depths[i];
    }
    near = Math.max(near, NEAR_PLANE);
    const scale = far > near ? LEVELS / (far - near) : 0;
    starts.fill(0);
    for (let i = 0; i < count; i++) {
      keys[i] = Math.max(depths[i] - near, 0) * scale;
      starts[keys[i] + 1]++;
    }
    for (let level = 1; level < starts.length; level++) starts[level] += starts[level - 1];
    for (let i = 0; i < count; i++) order[starts[keys[i]]++] = i;
  }
}

// Draws moved Gaussians into half floats, front to back, and resolves them into a canvas or a target.
export class Painter {
  constructor(gl, shaders) {
    this.gl = gl;
    this.project = new Program(gl, shaders.cover, shaders.project);
    this.splat = new Program(gl, shaders.splatVertex, shaders.splatFragment);
    this.resolve = new Program(gl, shaders.cover, shaders.resolve);
    this.present = new Program(gl, shaders.cover, shaders.present);
    this.accumulation = new Texture(gl, "rgba16f", 1, 1);
    this.target = new Target(gl, [this.accumulation, null]);
    this.sorter = new DepthOrder();
    this.order = null;
    this.vertices = gl.createVertexArray();
  }

  // The ellipse of every Gaussian, once instead of at each corner of its quad.
  workOutEllipses(person, camera) {
    const { gl } = this;
    if (!this.ellipses || this.ellipses[0].height !== person.height) {
      for (const thing of this.ellipses ? [this.ellipseTarget, ...this.ellipses] : []) thing.delete();
      this.ellipses = [0, 1].map(() => new Texture(gl, "rgba32f", WIDTH, person.height));
      this.ellipseTarget = new Target(gl, ...this.ellipses.map((texture) => [texture, null]));
    }
    this.ellipseTarget.bind();
    this.project.use({ attributes: person.attributes }, { world_to_camera: camera.worldToCamera, intrinsics: camera.intrinsics,
      picture_size: [camera.width, camera.height], alpha_min: ALPHA_MIN });
    this.project.cover();
  }

  sort(depths, height) {
    if (!this.order || this.order.height !== height) {
      if (this.order) this.order.delete();
      this.numbers = new Uint32Array(WIDTH * height);
      this.order = new Texture(this.gl, "r32ui", WIDTH, height);
    }
    this.sorter.fill(depths, this.numbers);
    this.order.send(this.numbers);
  }

  accumulate(person, camera) {
    const { gl } = this;
    this.workOutEllipses(person, camera);
    this.accumulation.resize(camera.width, camera.height);
    this.target.bind();
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE_MINUS_DST_ALPHA, gl.ONE);
    gl.bindVertexArray(this.vertices);
    const [center_major, minor_opacity] = this.ellipses;
    this.splat.use({ center_major, minor_opacity, attributes: person.attributes, order: this.order },
      { picture_size: [camera.width, camera.height], alpha_min: ALPHA_MIN });
    gl.drawArrays(gl.TRIANGLES, 0, 6 * person.count);
    gl.disable(gl.BLEND);
  }

  // Onto the canvas, which has the camera's size; what is behind it shows through.
  toCanvas(camera) {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, camera.width, camera.height);
    this.present.use({ accumulation: this.accumulation }, { background: [0, 0, 0] });
    this.present.cover();
  }

  // Premultiplied RGBA bytes, first row on top.
  toBytes(camera) {
    const { gl } = this, finished = new Texture(gl, "rgba8", camera.width, camera.height);
    const target = new Target(gl, [finished, null]), bytes = new Uint8Array(camera.width * camera.height * 4);
    target.bind();
    this.resolve.use({ accumulation: this.accumulation }, { background: [0, 0, 0] });
    this.resolve.cover();
    gl.readPixels(0, 0, camera.width, camera.height, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    target.delete();
    finished.delete();
    return bytes;
  }
}
