// What the page says when it has nothing to show.

/** By kind of problem. @type {Record<string, {title: string, detail: string, key?: boolean}>} */
export const TROUBLE = {
  key: {
    title: "This page needs a key",
    detail: "What the service sees is shown to those whose API key has the scope review. The operator makes one with: voicesearch keys create NAME --scope review",
    key: true,
  },
  forbidden: {
    title: "This key may not see this",
    detail: "It was made for something else. This page needs one with the scope review: voicesearch keys create NAME --scope review",
    key: true,
  },
  limited: { title: "That was a lot in a short time", detail: "The server rations what each key may ask." },
  overloaded: { title: "The event store cannot be asked now", detail: "Queries are answered all the same. This page tries again by itself." },
  lost: { title: "The server does not answer", detail: "Check the network. This page tries again by itself." },
  failed: { title: "That stretch cannot be shown", detail: "Choose another one above, or reload the page." },
};
