// How fast pictures come, and how many pixels they may have so that they come fast enough.

const MOST_PIXELS_A_POINT = 2; // device pixels a CSS pixel
const SLOW = 24, FAST = 50; // pictures a second
const LOWEST = 0.4, STEP = 0.8;
const PATIENCE = 12; // slow pictures before fewer pixels are drawn
const CONFIDENCE = 240; // fast ones before more are tried again
const SMOOTHING = 0.1;

export class Sharpness {
  // label: the element that tells the rate; changed(): called when pictures are to have another size.
  constructor(label, changed) {
    Object.assign(this, { label, changed });
    this.share = 1;
    this.rate = 0;
    this.pictures = 0;
    this.streak = 0;
    this.told = 0;
  }

  // Canvas pixels a CSS pixel.
  ratio() {
    return Math.min(devicePixelRatio || 1, MOST_PIXELS_A_POINT) * this.share;
  }

  // A picture was drawn so many milliseconds after the last one; 0 after a rest.
  saw(milliseconds) {
    this.pictures++;
    if (!milliseconds) return;
    const rate = 1000 / milliseconds;
    this.rate = this.rate ? this.rate + SMOOTHING * (rate - this.rate) : rate;
    this.adapt();
    if (performance.now() - this.told > 500) {
      this.told = performance.now();
      this.label.textContent = `${Math.round(this.rate)} fps`;
    }
  }

  // Nothing moves.
  rest() {
    if (this.rate) this.label.textContent = "";
    this.rate = 0;
  }

  adapt() {
    const wish = this.rate < SLOW && this.share > LOWEST ? -1 : this.rate > FAST && this.share < 1 ? 1 : 0;
    this.streak = Math.sign(this.streak) === -wish ? wish : wish * (Math.abs(this.streak) + 1);
    if (this.streak <= -PATIENCE) this.scale(STEP);
    else if (this.streak >= CONFIDENCE) this.scale(1 / STEP);
  }

  scale(factor) {
    this.share = Math.min(Math.max(this.share * factor, LOWEST), 1);
    this.streak = 0;
    this.changed();
  }
}
