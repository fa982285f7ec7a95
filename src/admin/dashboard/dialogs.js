/** The dialogs before a change. A dialog stays open and shows the reason if the server refuses. */

import { byId, find, setText, show } from "./dom.js";

/** A `<dialog>` with one form: opened, filled in, sent, closed. */
class FormDialog {
  /** @type {HTMLDialogElement} */
  element;
  /** @type {HTMLFormElement} */
  form;
  /** @type {HTMLButtonElement} */
  submitButton;
  #error;
  /** @type {() => Promise<unknown>} */
  #send = () => Promise.resolve();

  /** @param {string} selector */
  constructor(selector) {
    this.element = find(document, selector, HTMLDialogElement);
    this.form = find(this.element, "form", HTMLFormElement);
    this.submitButton = find(this.element, "button[type=submit]", HTMLButtonElement);
    this.#error = find(this.element, ".error", HTMLElement);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.element.querySelector("button[value=cancel]")?.addEventListener("click", () => this.element.close());
  }

  /** @param {() => Promise<unknown>} send called for each try; the dialog closes when it resolves */
  open(send) {
    this.#send = send;
    this.showError("");
    if (!this.element.open) this.element.showModal();
  }

  /** @param {string} message */
  showError(message) {
    setText(this.#error, message);
  }

  /** @param {string} name */
  input(name) {
    return find(this.form, `[name=${name}]`, HTMLInputElement);
  }

  async #submit() {
    this.showError("");
    this.submitButton.disabled = true;
    try {
      await this.#send();
      this.element.close();
    } catch (error) {
      this.showError(error instanceof Error ? error.message : String(error));
    } finally {
      this.submitButton.disabled = false;
    }
  }
}

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {string} target the backend's URL
 * @property {string} text what will happen
 * @property {string} warning what the reader may not have thought of; empty: nothing
 * @property {string} button
 * @property {boolean} isDangerous
 * @property {boolean} [offersDrain]
 */

/** Asks for confirmation, and says what will happen. */
export class ConfirmDialog {
  #dialog = new FormDialog("#confirm-dialog");
  #drain = find(this.#dialog.element, "label.check", HTMLElement);

  /**
   * @param {Question} question
   * @param {(answer: { drain: boolean }) => Promise<unknown>} send
   */
  open({ title, target, text, warning, button, isDangerous, offersDrain = false }, send) {
    const { element, submitButton } = this.#dialog;
    setText(byId("confirm-title"), title);
    setText(byId("confirm-text"), text);
    setText(find(element, ".target", HTMLElement), target);
    const warningText = find(element, ".warning", HTMLElement);
    setText(warningText, warning);
    show(warningText, warning !== "");
    setText(submitButton, button);
    submitButton.classList.toggle("danger", isDangerous);
    show(this.#drain, offersDrain);
    this.#dialog.open(() => send({ drain: offersDrain && this.#dialog.input("drain").checked }));
  }
}

/** Asks for a weight. */
export class WeightDialog {
  #dialog = new FormDialog("#weight-dialog");

  /**
   * @param {{ url: string, weight: number }} backend
   * @param {string} others what they weigh
   * @param {(weight: number) => Promise<unknown>} send
   */
  open({ url, weight }, others, send) {
    const input = this.#dialog.input("weight");
    setText(find(this.#dialog.element, ".target", HTMLElement), url);
    setText(byId("weight-others"), others);
    input.value = String(weight);
    this.#dialog.open(() => send(input.valueAsNumber));
    input.select();
  }
}

/** @typedef {{ url: string, weight: number, maxConnections: number | null, backup: boolean }} NewBackend */

/** Asks for a new backend. */
export class AddDialog {
  #dialog = new FormDialog("#add-dialog");

  /**
   * @param {string} title
   * @param {string} lasts how long the change will
   * @param {(backend: NewBackend) => Promise<unknown>} send
   */
  open(title, lasts, send) {
    setText(byId("add-title"), title);
    setText(byId("add-lasts"), lasts);
    this.#dialog.form.reset();
    this.#dialog.open(() => {
      const limit = this.#dialog.input("maxConnections").value;
      return send({
        url: this.#dialog.input("url").value.trim(),
        weight: this.#dialog.input("weight").valueAsNumber,
        maxConnections: limit === "" ? null : Number(limit),
        backup: this.#dialog.input("backup").checked,
      });
    });
  }
}

/** Asks for the token. It can't be closed, because without a token there is nothing to show. */
export class TokenDialog {
  #dialog = new FormDialog("#token-dialog");

  constructor() {
    this.#dialog.element.addEventListener("cancel", (event) => event.preventDefault());
  }

  /**
   * @param {string} error why the last token was refused; empty: none was given yet
   * @param {(token: string) => void} use
   */
  open(error, use) {
    const input = this.#dialog.input("token");
    this.#dialog.open(() => {
      use(input.value.trim());
      input.value = "";
      return Promise.resolve();
    });
    this.#dialog.showError(error);
    input.focus();
  }
}
