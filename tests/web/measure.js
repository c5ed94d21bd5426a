// Measured in the page by test_access.py: what cannot be read, what has no name, what sticks out.

(() => {
  const rgba = (css) => {
    const [r, g, b, a = 1] = css.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (top, below) => {
    const mix = (name) => top[name] * top.a + below[name] * (1 - top.a);
    return { r: mix("r"), g: mix("g"), b: mix("b"), a: 1 };
  };
  // WCAG 2.2, "relative luminance" and "contrast ratio".
  const luminance = ({ r, g, b }) => {
    const [R, G, B] = [r, g, b].map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const ancestors = (element) => (element ? [element, ...ancestors(element.parentElement)] : []);
  const ground = (element) =>
    ancestors(element)
      .map((each) => rgba(getComputedStyle(each).backgroundColor))
      .reverse()
      .reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
  const opacity = (element) =>
    ancestors(element).reduce((product, each) => product * Number(getComputedStyle(each).opacity), 1);
  const seen = (element) => {
    const { width, height } = element.getBoundingClientRect();
    return width > 1 && height > 1 && element.checkVisibility({ visibilityProperty: true }) && opacity(element) > 0;
  };

  /** Each visible text with the contrast to what is behind it. */
  const texts = () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const { data, parentElement } = walker.currentNode;
      if (data.trim() === "" || !seen(parentElement)) continue;
      const behind = ground(parentElement);
      const colour = rgba(getComputedStyle(parentElement).color);
      const shown = over({ ...colour, a: colour.a * opacity(parentElement) }, behind);
      found.push({ text: data.trim(), contrast: contrast(shown, behind) });
    }
    for (const field of document.querySelectorAll("input")) {
      if (!seen(field)) continue;
      const behind = ground(field);
      const hint = rgba(getComputedStyle(field, "::placeholder").color);
      found.push({ text: field.placeholder || field.id, contrast: contrast(over(hint, behind), behind) });
    }
    return found;
  };

  /** Each visible control with its size; the contrast of a field's outline to what is around it. */
  const controls = () =>
    [...document.querySelectorAll("button, input, summary")].filter(seen).map((each) => {
      const { width, height } = each.getBoundingClientRect();
      const edge = rgba(getComputedStyle(each).borderTopColor);
      const outline = each.matches("input") ? contrast(edge, ground(each.parentElement)) : null;
      return { id: each.id || each.className || each.tagName, width, height, outline };
    });

  const overflow = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;
  return { texts: texts(), controls: controls(), overflow: overflow() };
})();
