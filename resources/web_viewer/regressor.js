// Driving vector -> blend coefficients of one person, as core/avatar/regressor.py with the latent folded in.

import { rotationMatrix } from "./geometry.js";

const LEAK = 0.2;
const JOINT = 9;

export class Regressor {
  // sizes: page.regressor; shared: arrays of the part "regressor".
  constructor(sizes, shared) {
    this.sizes = sizes;
    this.shared = shared;
    this.joints = Math.floor(sizes.jaw / 3) + Math.floor(sizes.eyes / 3);
    this.layers = sizes.layers.map(([outputs, inputs], i) => ({ outputs, inputs, weight: shared[`weight_${i}`],
      bias: shared[`bias_${i}`], out: new Float32Array(outputs) }));
    this.pose = new Float32Array(JOINT * this.joints);
    this.products = new Float32Array(JOINT * sizes.expression);
    this.input = new Float32Array(sizes.psi + (sizes.usesPose ? this.pose.length : 0));
  }

  // Coefficients [D] for psi [P]; written over by the next call. own: arrays of the person's part.
  coefficients(own, psi) {
    const { sizes, shared, layers, pose, products } = this;
    this.fillPose(psi);
    this.input.set(psi);
    if (sizes.usesPose) this.input.set(pose, sizes.psi);
    let hidden = this.input;
    layers.forEach((layer, i) => {
      layer.out.set(i ? layer.bias : own.bias_0);
      addProduct(layer.weight, hidden, layer.out);
      hidden = layer.out;
      if (i < layers.length - 1) for (let k = 0; k < hidden.length; k++) if (hidden[k] < 0) hidden[k] *= LEAK;
    });
    const out = hidden;
    for (let k = 0; k < out.length; k++) out[k] += shared.bias[k];
    if (shared.psi) addProduct(shared.psi, psi, out);
    if (own.pose) addProduct(own.pose, pose, out);
    if (shared.product) {
      for (let i = 0; i < JOINT; i++)
        for (let e = 0; e < sizes.expression; e++) products[i * sizes.expression + e] = pose[i] * psi[e];
      addProduct(shared.product, products, out);
    }
    return out;
  }

  // R - I of every joint, row by row, jaw first.
  fillPose(psi) {
    for (let joint = 0; joint < this.joints; joint++) {
      const at = this.sizes.expression + 3 * joint, matrix = rotationMatrix(psi.subarray(at, at + 3));
      for (let i = 0; i < JOINT; i++) this.pose[joint * JOINT + i] = matrix[i] - (i % 4 === 0 ? 1 : 0);
    }
  }
}

// out += matrix [rows = out.length] · vector
function addProduct(matrix, vector, out) {
  const columns = vector.length;
  for (let row = 0, at = 0; row < out.length; row++) {
    let sum = 0;
    for (let i = 0; i < columns; i++) sum += matrix[at++] * vector[i];
    out[row] += sum;
  }
}
