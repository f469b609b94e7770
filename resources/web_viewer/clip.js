// A recorded motion over time.

export class Clip {
  // about: page.motion; arrays: of the part "motion".
  constructor(about, arrays) {
    this.times = arrays.time; // milliseconds
    this.arrays = arrays;
    this.rest = about.rest;
    this.duration = (this.times[this.times.length - 1] + about.frameMs) / 1000;
  }

  // What the person does after so many seconds; between frames it is interpolated.
  at(seconds, person) {
    const { arrays, times } = this, ms = Math.max(0, seconds * 1000);
    let low = 0, high = times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= ms) low = middle;
      else high = middle - 1;
    }
    const next = Math.min(low + 1, times.length - 1), gap = times[next] - times[low];
    const share = gap > 0 ? Math.min((ms - times[low]) / gap, 1) : 0;
    const mixed = (array, width) => {
      const out = new Float32Array(width);
      for (let i = 0; i < width; i++) out[i] = array[low * width + i] * (1 - share) + array[next * width + i] * share;
      return out;
    };
    const psi = arrays[`psi_${person}`] || arrays.psi;
    return { psi: mixed(psi, psi.length / times.length), rotation: mixed(arrays.rotation, 3),
      translation: Array.from(mixed(arrays.translation, 3)) };
  }
}
