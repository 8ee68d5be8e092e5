// Build elements. Text is always set as text, so that names of classes, models and files from
// elsewhere are never read as HTML.

/** Return the element with an id. */
export const byId = (id) => document.getElementById(id);

/** Create an element with attributes, and children that are elements or text. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Create an SVG element in the same way. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Tell people who use a screen reader what has changed. */
export function announce(text) {
  byId("announcement").textContent = text;
}

/** 0.0123 as "1.2 %". */
export function percent(share, digits = 1) {
  if (share == null) return "–";
  const value = 100 * share;
  const shown = value > 0 && value < 1 ? 2 : value >= 99.95 || value === 0 ? 0 : digits;
  return `${value.toFixed(shown)} %`;
}

/** A score in at most four significant digits. */
export function number(value) {
  if (value == null) return "not a number";
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
}

/** Milliseconds for people. */
export function milliseconds(value) {
  return value < 10 ? `${value.toFixed(1)} ms` : `${value.toFixed(0)} ms`;
}
