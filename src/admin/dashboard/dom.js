/** Helpers for the document, used by every view. They change only what differs. */

/**
 * The element with this id; a page without it is a bug.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

/**
 * The first element within `root` of this kind and selector.
 *
 * @template {HTMLElement} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} kind
 * @returns {T}
 */
export function find(root, selector, kind) {
  const element = root.querySelector(selector);
  if (!(element instanceof kind)) throw new Error(`the page has no ${selector}`);
  return element;
}

/**
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {HTMLElement} element
 * @param {string} name of a `data-` attribute, in camel case
 * @param {string} value
 */
export function setData(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

/**
 * @param {HTMLElement} element
 * @param {string} label what it is called by those who hear the page
 */
export function setLabel(element, label) {
  if (element.ariaLabel !== label) element.ariaLabel = label;
}

/**
 * @param {HTMLElement} button
 * @param {boolean} isPressed
 */
export function setPressed(button, isPressed) {
  if (button.ariaPressed !== String(isPressed)) button.ariaPressed = String(isPressed);
}

/**
 * @param {HTMLElement} element
 * @param {boolean} isShown
 */
export function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

/**
 * A new element with a class and a text or children.
 *
 * @param {string} name
 * @param {string} className
 * @param {...(Node | string)} content
 */
export function create(name, className, ...content) {
  const element = document.createElement(name);
  if (className !== "") element.className = className;
  element.append(...content);
  return element;
}
