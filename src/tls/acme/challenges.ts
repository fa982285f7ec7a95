/** The answers to the challenges of authorities, by which they find out that a name leads here. */

import { SharedAwayError, type SharedChallenges } from "./shared.ts";
import type { ChallengeTable } from "./authority.ts";
import { TOKEN } from "./token.ts";

/** Clients can ask for any token. The store is asked for so many at a time; the others count as unknown. */
const MOST_ASKED = 32;

export class Challenges implements ChallengeTable {
  readonly #own = new Map<string, string>();
  readonly #shared: SharedChallenges | undefined;
  #asked = 0;

  constructor(shared: SharedChallenges | undefined) {
    this.#shared = shared;
  }

  /** Resolves when every replica can answer. While the store is away, only this one can. */
  async put(token: string, keyAuthorization: string): Promise<void> {
    this.#own.set(token, keyAuthorization);
    await ifThere(this.#shared?.put(token, keyAuthorization));
  }

  async remove(token: string): Promise<void> {
    this.#own.delete(token);
    await ifThere(this.#shared?.remove(token)); // it is forgotten after a while
  }

  /** The answer to a challenge of this replica or of another one. `undefined`: there is no such challenge. */
  async answer(token: string): Promise<string | undefined> {
    const own = this.#own.get(token);
    if (own !== undefined || this.#shared === undefined || !TOKEN.test(token) || this.#asked >= MOST_ASKED) return own;
    this.#asked++;
    try {
      return await ifThere(this.#shared.get(token));
    } finally {
      this.#asked--;
    }
  }
}

/** `undefined` while the store is away. */
async function ifThere<T>(asked: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof SharedAwayError)) throw error;
    return undefined;
  }
}
