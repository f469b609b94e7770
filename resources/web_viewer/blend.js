// The basis and a person in textures, and the two passes that move the Gaussians: core/avatar/gl_blend.py.

import { Program, Target, Texture, WIDTH } from "./gpu.js";

const SAMPLERS = ["xyz_planes", "rotation_planes", "scale_planes", "opacity_planes"];

export class Basis {
  constructor(gl, page, arrays) {
    this.gl = gl;
    const { basis, shaders } = page;
    this.blocks = basis.blocks;
    this.planes = {};
    for (const name of SAMPLERS) {
      const [layers, rows, width] = basis.shapes[name];
      this.planes[name] = new Texture(gl, "rgba8i", width, rows, layers, arrays[name]);
    }
    this.counts = SAMPLERS.map((name) => basis.shapes[name][0]);
    this.slots = new Texture(gl, "rgba32i", this.blocks, 1, 0, arrays.slots);
    this.component = arrays.component;
    this.steps = arrays.steps;
    this.weights = new Float32Array(this.steps.length);
    this.weightTexture = new Texture(gl, "rgba32f", this.component.length / 4, this.blocks, 0, this.weights);
    this.residuals = [0, 1, 2].map(() => new Texture(gl, "rgba32f", WIDTH, this.blocks));
    this.target = new Target(gl, ...this.residuals.map((texture) => [texture, null]));
    this.program = new Program(gl, shaders.cover, shaders.rows);
    this.move = new Program(gl, shaders.cover, shaders.move);
    this.moves = { has_scale: basis.hasScale, has_opacity: basis.hasOpacity };
  }

  // Fill the residuals of all rows.
  blend(coefficients) {
    const { component, steps, weights } = this, planes = component.length;
    for (let at = 0; at < steps.length; at += planes)
      for (let i = 0; i < planes; i++) weights[at + i] = coefficients.length ? steps[at + i] * coefficients[component[i]] : 0;
    this.weightTexture.send(weights);
    this.target.bind();
    this.program.use({ slots: this.slots, weights: this.weightTexture, ...this.planes }, { counts: this.counts });
    this.program.cover();
  }
}

export class Person {
  // about: page.people[i]; arrays: of the person's part.
  constructor(gl, about, arrays) {
    this.gl = gl;
    this.about = about;
    this.own = { bias_0: arrays.bias_0, pose: arrays.pose };
    this.count = about.count;
    const rows = Math.max(1, Math.ceil(this.count / WIDTH)), texels = rows * WIDTH;
    this.resting = new Texture(gl, "rgba32f", WIDTH, rows, arrays.closed ? 7 : 6, restingTexels(arrays, this.count, texels));
    const numbers = new Int32Array(texels).fill(-1);
    numbers.set(arrays.row);
    this.rows = new Texture(gl, "r32i", WIDTH, rows, 0, numbers);
    const moved = new Float32Array(4 * texels * 4);
    spread(arrays.rgb, 3, moved.subarray(3 * texels * 4), 0);
    this.attributes = new Texture(gl, "rgba32f", WIDTH, rows, 4, moved);
    this.depths = new Texture(gl, "r32f", WIDTH, rows);
    this.target = new Target(gl, ...[0, 1, 2].map((layer) => [this.attributes, layer]), [this.depths, null]);
    this.height = rows;
  }

  // Fill the attributes and depths from the residuals of a basis and a head motion.
  move(basis, motion, camera) {
    const [xyz_opacity, rotation, scale] = basis.residuals;
    this.target.bind();
    basis.move.use(
      { row_xyz_opacity: xyz_opacity, row_rotation: rotation, row_scale: scale, rows: this.rows, resting: this.resting },
      { ...basis.moves, head_rotation: motion.rotation, head_turn: motion.turn, turn_axis: motion.axis,
        neck_joint: this.about.neckJoint, head_shift: motion.headShift, body_shift: motion.bodyShift, eye: camera.eye,
        view_depth: camera.worldToCamera.subarray(8, 12) });
    basis.move.cover();
  }

  delete() {
    for (const thing of [this.target, this.resting, this.rows, this.attributes, this.depths]) thing.delete();
  }
}

// Values [N, width] into texels of four, from component `first` on.
function spread(values, width, texels, first) {
  for (let i = 0, at = first, from = 0; from < values.length; i++, at += 4)
    for (let k = 0; k < width; k++) texels[at + k] = values[from++];
}

// The layers of move.frag's `resting`.
function restingTexels(arrays, count, texels) {
  const layers = arrays.closed ? 7 : 6, all = new Float32Array(layers * texels * 4);
  const layer = (i) => all.subarray(i * texels * 4, (i + 1) * texels * 4);
  spread(arrays.xyz, 3, layer(0), 0);
  spread(arrays.opacity, 1, layer(0), 3);
  spread(arrays.scale, 3, layer(1), 0);
  spread(arrays.gain, 1, layer(1), 3);
  if (arrays.quat) spread(arrays.quat, 4, layer(2), 0);
  else unpackQuaternions(arrays.largest, arrays.three, layer(2));
  if (arrays.offset) spread(arrays.offset, 3, layer(3), 0);
  spread(arrays.neckWeight, 1, layer(3), 3);
  if (arrays.stretches) unpackPatches(arrays, layer(2), layer(4), layer(5));
  if (arrays.closed) {
    spread(arrays.normal, 3, layer(6), 0);
    spread(arrays.closed, 1, layer(6), 3);
  }
  return all;
}

// wxyz from the three smaller components.
function unpackQuaternions(largest, three, texels) {
  const step = 1 / (127 * Math.SQRT2);
  for (let i = 0; i < largest.length; i++) {
    let rest = 1;
    for (let k = 0, from = 3 * i; k < 4; k++) {
      if (k === largest[i]) continue;
      const value = three[from++] * step;
      texels[4 * i + k] = value;
      rest -= value * value;
    }
    texels[4 * i + largest[i]] = Math.sqrt(Math.max(rest, 0));
  }
}

// Tangents u and v of the rows, and the first axis along them, of the Gaussians that stretch.
function unpackPatches({ stretches, angle, tangents, axis }, quats, along, across) {
  for (let i = 0, n = 0; i < stretches.length; i++) {
    if (!stretches[i]) continue;
    if (tangents) {
      along.set([...tangents.subarray(6 * n, 6 * n + 3), axis[2 * n]], 4 * i);
      across.set([...tangents.subarray(6 * n + 3, 6 * n + 6), axis[2 * n + 1]], 4 * i);
    } else {
      const turn = (angle[n] * Math.PI) / 128, c = Math.cos(turn), s = Math.sin(turn);
      const [w, x, y, z] = quats.subarray(4 * i, 4 * i + 4);
      const first = [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)];
      const second = [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)];
      for (let k = 0; k < 3; k++) {
        along[4 * i + k] = c * first[k] - s * second[k];
        across[4 * i + k] = s * first[k] + c * second[k];
      }
      along[4 * i + 3] = c;
      across[4 * i + 3] = s;
    }
    n++;
  }
}
