// Features by the names that people know.

const TITLES = {
  duration_s: "Length",
  level_dbfs: "Level",
  snr_db: "Signal to noise",
  clipped_ratio: "Clipped samples",
  speech_ratio: "Share of speech",
  leading_silence_s: "Silence before speech",
  trailing_silence_s: "Silence after speech",
  gain_db: "Gain",
  null_rate: "Came out empty",
  confidence: "Confidence",
  words_per_s: "Speaking rate",
  entropy: "Undecidedness",
  perplexity: "Unlikeliness of the words",
  no_results_rate: "Nothing found",
  out_of_catalog_rate: "Not in the catalogue",
};

/** @param {string} name of a feature */
export const titleOf = (name) => TITLES[/** @type {keyof TITLES} */ (name)] ?? name;

/** A sentence of the journal, with those names in it. @param {string} words */
export const withNames = (words) =>
  words.replaceAll(/\b[a-z]+(?:_[a-z]+)*\b/g, (name) => (name.includes("_") ? titleOf(name) : name)).replaceAll(" -> ", " → ");

/** A model without most of its digest. @param {string} model */
export const short = (model) => model.replace(/@(?:sha256:)?([0-9a-f]{8})[0-9a-f]*$/, "@$1");
