// Numbers and times in words: the same on axes, in legends, tables and sentences.

const NONE = "–";

/** @typedef {(value: number | null | undefined) => string} Format */

/** @param {(value: number) => string} format @returns {Format} */
const where = (format) => (value) => (value === null || value === undefined ? NONE : format(value));

/** @param {number} value */
const digits = (value) => {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-GB");
  return String(Number(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3)));
};

export const number = where(digits);
export const count = where((value) => Math.round(value).toLocaleString("en-GB"));
export const perMinute = where((value) => `${digits(value)}/min`);
export const percent = where((value) => `${Number((100 * value).toFixed(value !== 0 && Math.abs(value) < 0.1 ? 1 : 0))} %`);
export const milliseconds = where((value) => (value >= 1000 ? `${Number((value / 1000).toFixed(2))} s` : `${Number(value.toFixed(value < 10 ? 1 : 0))} ms`));

/** Of much data. */
export const percentFinely = where((value) => `${(100 * value).toFixed(1)} %`);

const UNITS = { "": "", "1/s": " a second" };

/** @param {string} unit of a feature @returns {Format} */
export const of = (unit) => where((value) => digits(value) + (UNITS[/** @type {keyof typeof UNITS} */ (unit)] ?? ` ${unit}`));

/** @param {{low: number, high: number, n: number}} share */
export const interval = ({ low, high, n }) => (n === 0 ? "nothing counted yet" : `${percentFinely(low)} to ${percentFinely(high)}`);

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric" });
const DATE = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** @param {number} seconds since 1970 */
export const clock = (seconds) => CLOCK.format(seconds * 1000);
/** @param {number} seconds since 1970 */
export const day = (seconds) => DAY.format(seconds * 1000);
/** @param {number} seconds since 1970 */
export const date = (seconds) => DATE.format(seconds * 1000);

/** A tick of a time axis: the day at midnight and on long axes, else the time. @param {number} seconds @param {number} apart */
export const tick = (seconds, apart) => (apart >= 86_400 || clock(seconds) === "00:00" ? day(seconds) : clock(seconds));

/** @param {number} seconds how long */
export function span(seconds) {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return "less than a minute";
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 && hours < 10 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}
