// One button, four ways to use it: tap, hold, the space bar (from anywhere), and whatever a screen reader sends.

const HOLD_MS = 400; // longer than this, and the end of the press is the end of the speech

/**
 * @param {HTMLButtonElement} button
 * @param {() => boolean} press it was pressed; whether that began something
 * @param {() => void} release it was let go after having been held
 */
export function onPress(button, press, release) {
  /** When the press that began something was, or null. @type {number | null} */
  let since = null;
  let pointed = false;

  const down = () => {
    since = press() ? performance.now() : null;
  };
  const up = () => {
    if (since !== null && performance.now() - since >= HOLD_MS) release();
    since = null;
  };

  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    button.setPointerCapture(event.pointerId);
    pointed = true;
    down();
  });
  button.addEventListener("pointerup", up);
  button.addEventListener("pointercancel", up);
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // of a long touch
  button.addEventListener("click", () => {
    if (!pointed) press(); // Enter, or a screen reader: no press to be held
    pointed = false;
  });

  document.addEventListener("keydown", (event) => {
    if (event.code !== "Space" || !ours(event, button)) return;
    event.preventDefault(); // no scrolling, no click
    if (!event.repeat) down();
  });
  document.addEventListener("keyup", (event) => {
    if (event.code !== "Space" || !ours(event, button)) return;
    event.preventDefault();
    up();
  });
}

/**
 * Whether the space bar means the button: not in a field, on another control, or with a modifier.
 * @param {KeyboardEvent} event
 * @param {HTMLButtonElement} button
 */
function ours(event, button) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return false;
  const target = /** @type {Element} */ (event.target);
  return target === button || target.closest("button, input, a, summary, dialog") === null;
}
