// Elements, out of what they are called, have and hold.

/** Makes an element with attributes, true for one without a value, and children; what is null or false is left out. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== false && child !== ""));
  return element;
}

/** Makes a link that opens elsewhere; the text alone where there is no address. */
export const link = (text, url) =>
  url ? make("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text) : text;
