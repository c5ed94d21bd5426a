// The small dialog for an API key.

import { apiKey, setApiKey } from "./session.js";
import { at } from "./view.js";

/** @param {() => void} onKey it was changed */
export function askForKey(onKey) {
  const dialog = /** @type {HTMLDialogElement} */ (at("key-dialog"));
  const field = /** @type {HTMLInputElement} */ (at("key-value"));
  field.value = apiKey();
  dialog.returnValue = "";
  at("key-cancel").onclick = () => dialog.close();
  dialog.onclose = () => {
    const used = dialog.returnValue === "use";
    if (used) setApiKey(field.value);
    field.value = "";
    if (used) onKey();
  };
  dialog.showModal();
}
