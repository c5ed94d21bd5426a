// What else is known of an item, in one line; and which of the choices that it leaves were asked for.

const LEADING = ["author", "year"]; // come first

/**
 * A facet with several values is a choice (sizes, kinds of milk), except for who wrote it.
 * @param {Record<string, unknown>} facets
 * @param {string} query
 * @returns {{asked: string[], line: string}} chosen values, in the query's words; and the rest
 */
export function describe(facets, query) {
  const names = [
    ...LEADING.filter((name) => name in facets),
    ...Object.keys(facets).filter((name) => !LEADING.includes(name)),
  ];
  const choices = names.filter((name) => !LEADING.includes(name) && [facets[name]].flat().length > 1);
  const facts = names.filter((name) => !choices.includes(name)).map((name) => said(name, facets[name]));
  const asked = choices.flatMap((name) => mentioned([facets[name]].flat().map(String), query));
  if (facts.length === 0 && asked.length === 0 && choices.length > 0) facts.push(`Choice of ${choices.join(", ")}`);
  return { asked, line: facts.join(" · ") };
}

/**
 * The values that occur in the query as words; of "milk" and "skim milk" only the longer.
 * @param {string[]} values
 * @param {string} query
 */
function mentioned(values, query) {
  const said = values.filter((value) => within(value, query.toLowerCase()));
  return said.filter((value) => !said.some((other) => other !== value && within(value, other)));
}

/**
 * Whether the words of `value`, the last one perhaps in its plural, stand in `text`.
 * @param {string} value
 * @param {string} text
 */
const within = (value, text) => [value, `${value}s`].some((form) => ` ${text} `.includes(` ${form} `));

/**
 * @param {string} name
 * @param {unknown} value
 */
function said(name, value) {
  if (name === "year") return Number(value) < 0 ? `${-Number(value)} BC` : String(value);
  // Words speak for themselves; a number needs its name.
  return typeof value === "number" ? `${name} ${value}` : [value].flat().join(", ");
}
