// The ring around the button: how loud it hears, newest at the top and flowing down both sides.

const TICKS = 96; // around the ring, mirrored left and right
const HALF = TICKS / 2;
const QUIETEST_DBFS = -58; // drawn as nothing
const LOUDEST_DBFS = -8; // drawn in full; speech close to a microphone peaks a little below
const CURVE = 1.6; // above 1: what is loud stands out from what is not
const DOT = 0.012; // of a tick, where there is no sound; a share of the canvas
const ATTACK = 0.5; // share of the way to a louder level in one frame, and to a quieter one: meters rise fast
const DECAY = 0.12;

/** @typedef {"resting" | "hearing" | "thinking"} Mode */

/**
 * @param {HTMLCanvasElement} canvas drawn in its own CSS colour
 */
export function createMeter(canvas) {
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  /** Levels in 0..1, newest first: one for each pair of ticks. */
  const levels = new Float32Array(HALF + 1);
  /** @type {Mode} */
  let mode = "resting";
  let target = 0;
  let frame = 0;

  const step = (/** @type {number} */ now) => {
    const towards = mode === "hearing" ? target : 0;
    const level = levels[0] + (towards - levels[0]) * (towards > levels[0] ? ATTACK : DECAY);
    if (still.matches) levels.fill(level);
    else levels.copyWithin(1, 0);
    levels[0] = level;
    draw(pen, levels, mode === "thinking" && !still.matches ? now / 1_000 : null);
    const quiet = levels.every((value) => value < 0.002);
    frame = mode === "resting" && quiet ? 0 : requestAnimationFrame(step);
  };
  const run = () => {
    frame ||= requestAnimationFrame(step);
  };
  const fit = () => {
    const size = Math.round(canvas.clientWidth * devicePixelRatio);
    if (size !== canvas.width) canvas.width = canvas.height = size;
    run();
  };
  new ResizeObserver(fit).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", run);

  return {
    /** @param {number} levelDbfs */
    level(levelDbfs) {
      const share = (levelDbfs - QUIETEST_DBFS) / (LOUDEST_DBFS - QUIETEST_DBFS);
      target = Math.min(1, Math.max(0, share)) ** CURVE;
    },
    /** @param {Mode} next */
    show(next) {
      mode = next;
      target = 0;
      run();
    },
  };
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Float32Array} levels
 * @param {number | null} wave seconds, where a wave runs around the ring
 */
function draw(pen, levels, wave) {
  const { canvas } = pen;
  const size = canvas.width;
  const inner = 0.325 * size; // the button's radius is 0.26
  const reach = 0.155 * size;
  pen.clearRect(0, 0, size, size);
  pen.strokeStyle = getComputedStyle(canvas).color;
  pen.lineWidth = 0.0105 * size;
  pen.lineCap = "round";
  for (let tick = 0; tick < TICKS; tick++) {
    const age = Math.min(tick, TICKS - tick); // ticks away from the top
    const swell = wave === null ? 0 : Math.max(0, Math.cos((tick / TICKS) * 2 * Math.PI - 4 * wave)) ** 6;
    const level = Math.max(levels[age] * (1 - 0.45 * (age / HALF)), 0.25 * swell);
    const angle = (tick / TICKS) * 2 * Math.PI - Math.PI / 2;
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    const outer = inner + Math.max(DOT * size, reach * level);
    pen.globalAlpha = Math.min(1, 0.28 + 1.4 * level);
    pen.beginPath();
    pen.moveTo(size / 2 + x * inner, size / 2 + y * inner);
    pen.lineTo(size / 2 + x * outer, size / 2 + y * outer);
    pen.stroke();
  }
}
