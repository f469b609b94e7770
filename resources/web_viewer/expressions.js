// The face by hand and by script: sliders add to the motion, scripts replace it.

export class Face {
  // page: its regressor, sliders and scores; list: the element that takes the sliders; changed(): called after each change.
  constructor(page, list, changed) {
    Object.assign(this, { page, changed });
    this.size = page.regressor.psi;
    this.given = null; // psi of a script
    this.rotation = null;
    this.values = page.sliders.map(() => 0);
    this.inputs = page.sliders.map((slider, i) => this.addSlider(list, slider, i));
  }

  addSlider(list, slider, index) {
    const row = document.createElement("label"), name = document.createElement("span"), input = document.createElement("input");
    row.className = "slider";
    name.textContent = slider.label;
    Object.assign(input, { type: "range", min: slider.low, max: slider.high, step: 0.01, value: 0, id: `slider-${slider.id}` });
    if (slider.low < 0) row.classList.add("centred");
    input.addEventListener("input", () => this.setSlider(index, Number(input.value)));
    row.append(name, input);
    list.append(row);
    return input;
  }

  setSlider(index, value) {
    const { low, high } = this.page.sliders[index];
    this.values[index] = value;
    this.inputs[index].value = value;
    this.inputs[index].style.setProperty("--from", `${(100 * (Math.min(value, 0) - low)) / (high - low)}%`);
    this.inputs[index].style.setProperty("--to", `${(100 * (Math.max(value, 0) - low)) / (high - low)}%`);
    this.changed();
  }

  relax() {
    this.values.forEach((_, i) => this.setSlider(i, 0));
  }

  // What is to be seen: a motion's psi with the sliders added, or what a script wants.
  psi(moving) {
    const psi = Float32Array.from(this.given || moving || new Float32Array(this.size));
    this.page.sliders.forEach(({ up, down }, i) => {
      for (const [index, weight] of this.values[i] >= 0 ? up : down) psi[index] += weight * Math.abs(this.values[i]);
    });
    return psi;
  }

  // Follow a script; null gives the face back to the motion.
  give(psi, rotation = null) {
    this.rotation = rotation && finite(rotation, 3, "rotation");
    this.given = psi && finite(psi, this.size, "psi");
    this.changed();
  }

  // Follow blendshape scores by their ARKit names, as MediaPipe's face landmarker gives them.
  giveScores(scores, rotation = null) {
    const map = this.page.scores;
    if (!map) throw new RangeError("this pack's expressions have no such names");
    const psi = new Float32Array(this.size), score = (name) => Number(scores[name]) || 0;
    map.names.forEach((name, i) => { psi[i] = score(name); });
    psi[map.jaw] = map.jawOpen * score("jawOpen");
    psi[map.jaw + 1] = map.jawYaw * (score("jawLeft") - score("jawRight"));
    for (const [side, outward, at] of [["Left", 1, map.jaw + 3], ["Right", -1, map.jaw + 6]]) {
      psi[at] = map.gaze * (score(`eyeLookDown${side}`) - score(`eyeLookUp${side}`));
      psi[at + 1] = map.gaze * outward * (score(`eyeLookOut${side}`) - score(`eyeLookIn${side}`));
    }
    this.give(psi, rotation);
  }
}

// Numbers of a script as they are used here.
export function finite(numbers, count, name) {
  if (numbers.length !== count || !Array.from(numbers).every(Number.isFinite))
    throw new RangeError(`${name} must be ${count} finite numbers`);
  return Float32Array.from(numbers);
}
