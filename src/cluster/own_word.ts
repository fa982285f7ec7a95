/** What this replica says of itself with each heartbeat. */

import { newMark } from "./revision.ts";
import { MAX_VIEW_BYTES } from "./store.ts";
import type { HealthView } from "./views.ts";

/** What a heartbeat carries. */
export interface Word {
  readonly said: string;
  /** What it thinks of the backends, if that is to be sent now; else `""`. */
  readonly view: string;
}

/** How often what it thinks of the backends is sent at most, when it changes. */
const VIEW_MS = 2000;
/** How often it is sent even if it has not changed: the store may have lost it. */
const VIEW_AGAIN_MS = 10_000;

export class OwnWord {
  readonly #version: string;
  readonly #admin: () => string;
  #view: HealthView | null = null;
  #viewText = "";
  #mark = "";
  #isNew = false;
  #sentAtMs = -Infinity;

  constructor(options: { readonly version: string; readonly admin: () => string }) {
    this.#version = options.version;
    this.#admin = options.admin;
  }

  /** What this replica thinks of each backend. */
  get view(): HealthView | null {
    return this.#view;
  }

  report(view: HealthView): void {
    this.#view = view;
    this.#isNew = true;
  }

  /** The next heartbeat, with the counter of the document. `first`: it is the first one on its connection. */
  next(changes: number, first: boolean): Word {
    const view = this.#viewToSend(first);
    return {
      said: JSON.stringify({ version: this.#version, admin: this.#admin(), changes, view: this.#mark }),
      view,
    };
  }

  #viewToSend(first: boolean): string {
    const sinceMs = performance.now() - this.#sentAtMs;
    if (!first && sinceMs < (this.#isNew ? VIEW_MS : VIEW_AGAIN_MS)) return "";
    if (this.#isNew) {
      this.#isNew = false;
      const text = JSON.stringify(this.#view);
      if (text !== this.#viewText) {
        this.#viewText = text.length > MAX_VIEW_BYTES ? "" : text;
        this.#mark = this.#viewText === "" ? "" : newMark();
      }
    }
    this.#sentAtMs = performance.now();
    return this.#viewText;
  }
}
