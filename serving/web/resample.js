// Samples at the microphone's rate in, samples at another rate out, in pieces of any size.
//
// A polyphase windowed-sinc filter (Kaiser window; Smith, "Digital Audio Resampling", ccrma.stanford.edu/~jos/resample).
// Below 90 % of the lower rate's Nyquist frequency it passes everything, from there on it cuts off, so that nothing
// above folds back into the speech. The result does not depend on how the input was cut.

const CUTOFF = 0.95; // of the lower Nyquist frequency: the middle of the slope from 90 % to 100 %
const ZERO_CROSSINGS = 50; // on each side: 5 / (1 - 0.9) for a slope of 10 % at 80 dB
const KAISER_BETA = 8; // 80 dB

export class Resampler {
  /**
   * @param {number} fromHz
   * @param {number} toHz
   */
  constructor(fromHz, toHz) {
    const divisor = greatestCommonDivisor(fromHz, toHz);
    this.up = toHz / divisor;
    this.down = fromHz / divisor;
    this.half = Math.ceil(ZERO_CROSSINGS * Math.max(1, fromHz / toHz));
    this.phases = this.up === this.down ? [] : filters(this.up, this.half, CUTOFF * Math.min(1, toHz / fromHz));
    /** Input not yet done with; the first output is centred on the first input. */
    this.kept = new Float32Array(this.half - 1);
    this.index = this.half - 1; // of the input sample at or before the next output, in `kept`
    this.phase = 0; // how far behind it the output is, in 1/up of an input sample
  }

  /**
   * @param {Float32Array} samples the next input
   * @returns {Float32Array} the output that it completes
   */
  push(samples) {
    if (this.up === this.down) return samples;
    const input = new Float32Array(this.kept.length + samples.length);
    input.set(this.kept);
    input.set(samples, this.kept.length);
    const output = new Float32Array(Math.ceil((samples.length + 1) * this.up / this.down));
    let count = 0;
    while (this.index + this.half < input.length) {
      const taps = this.phases[this.phase];
      const start = this.index - this.half + 1;
      let sum = 0;
      for (let tap = 0; tap < taps.length; tap++) sum += taps[tap] * input[start + tap];
      output[count++] = sum;
      const next = this.phase + this.down;
      this.index += Math.floor(next / this.up);
      this.phase = next % this.up;
    }
    // Steps may be longer than the filter: what they leap over is not here yet.
    const done = Math.min(this.index - this.half + 1, input.length);
    this.kept = input.slice(done);
    this.index -= done;
    return output.subarray(0, count);
  }
}

/**
 * One filter for each position of an output between two inputs, each with a gain of 1 at 0 Hz.
 * @param {number} up positions
 * @param {number} half taps on each side
 * @param {number} cutoff of the input's Nyquist frequency
 */
function filters(up, half, cutoff) {
  return Array.from({ length: up }, (_, phase) => {
    const taps = new Float32Array(2 * half);
    for (let tap = 0; tap < taps.length; tap++) {
      const at = tap - half + 1 - phase / up; // in input samples, from the output's place
      taps[tap] = sinc(cutoff * at) * kaiser(at / half);
    }
    const gain = taps.reduce((sum, tap) => sum + tap, 0);
    return taps.map((tap) => tap / gain);
  });
}

/** @param {number} x */
const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** @param {number} x in -1..1 */
const kaiser = (x) => bessel(KAISER_BETA * Math.sqrt(Math.max(0, 1 - x * x))) / bessel(KAISER_BETA);

/**
 * Modified Bessel function of the first kind and order 0, by its power series.
 * @param {number} x
 */
function bessel(x) {
  let sum = 1;
  for (let term = 1, k = 1; term > 1e-9 * sum; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

/**
 * @param {number} a
 * @param {number} b
 * @returns {number}
 */
function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
