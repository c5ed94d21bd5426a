// Colours of charts, read from the style sheet, so that light and dark are decided in one place.

/** @param {string} name of a custom property, without the dashes @param {number} [alpha] */
export function colour(name, alpha = 1) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return alpha === 1 ? hex : hex + Math.round(255 * alpha).toString(16).padStart(2, "0");
}

/** Paler, and still opaque: of areas that cover each other. @param {string} name */
export function pale(name) {
  const [over, under] = [colour(name), colour("card")].map((hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)));
  const mixed = over.map((part, at) => Math.round(0.72 * part + 0.28 * under[at]));
  return `rgb(${mixed.join(" ")})`;
}

/** @param {() => void} change light became dark, or dark light */
export function onScheme(change) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", change);
}
