/** What guards hold for longer than a request: connections, a worker. */

import { NO_QUESTIONS, type Questions } from "./questions.ts";

/** The constructor of something that is held, made for a setting. */
type HeldKind<Held extends Disposable, Setting> = new (setting: Setting, holdings: Holdings) => Held;

/**
 * Owns what the guards of one isolate hold. There is one for each setting, which all guards with this setting share. It
 * stays over reloads as long as a configuration names it. A guard asks it only while the configuration is in force, so
 * that nothing new begins after it was disposed of; what has begun then ends by itself.
 */
export class Holdings implements Disposable {
  readonly questions: Questions;
  readonly #held = new Map<string, Disposable>();
  #named = new Set<string>();

  /** @param questions asks servers. Default: nobody can be asked */
  constructor(questions = NO_QUESTIONS) {
    this.questions = questions;
  }

  /** Returns what is held for a setting, and makes it first if there is none. Called while guards are made. */
  obtain<Held extends Disposable, Setting>(kind: HeldKind<Held, Setting>, setting: Setting): Held {
    const name = `${kind.name} ${JSON.stringify(setting)}`;
    this.#named.add(name);
    const known = this.#held.get(name);
    if (known instanceof kind) return known;
    const made = new kind(setting, this);
    this.#held.set(name, made);
    return made;
  }

  /** Makes the guards of a configuration. Then disposes of what none of them has obtained. */
  renew<T>(make: () => T): T {
    this.#named = new Set();
    const made = make();
    for (const [name, held] of this.#held) {
      if (this.#named.has(name)) continue;
      this.#held.delete(name);
      held[Symbol.dispose]();
    }
    return made;
  }

  [Symbol.dispose](): void {
    for (const held of this.#held.values()) held[Symbol.dispose]();
    this.#held.clear();
  }
}
