/** The answers to the challenges of authorities, by which they find out that a name leads here. */

import { SharedAwayError, type SharedChallenges } from "./shared.ts";
import type { ChallengeTable } from "./authority.ts";
import { TOKEN } from "./token.ts";

/** Clients can ask for any token. The store is asked for so many at a time; the others count as unknown. */
const MOST_ASKED = 32;

export class Challenges implements ChallengeTable {
  readonly #own = new Map<string, string>();
  readonly #shared: readonly SharedChallenges[];
  #asked = 0;

  /** @param shared where other processes and replicas look, the nearest first */
  constructor(...shared: readonly SharedChallenges[]) {
    this.#shared = shared;
  }

  /** Resolves when all others can answer. While the store is away, no other replica can. */
  async put(token: string, keyAuthorization: string): Promise<void> {
    this.#own.set(token, keyAuthorization);
    await Promise.all(this.#shared.map((shared) => ifThere(shared.put(token, keyAuthorization))));
  }

  async remove(token: string): Promise<void> {
    this.#own.delete(token);
    await Promise.all(this.#shared.map((shared) => ifThere(shared.remove(token)))); // else it is forgotten after a while
  }

  /** The answer to a challenge of this process or of another one. `undefined`: there is no such challenge. */
  async answer(token: string): Promise<string | undefined> {
    const own = this.#own.get(token);
    if (own !== undefined || this.#shared.length === 0 || !TOKEN.test(token) || this.#asked >= MOST_ASKED) return own;
    this.#asked++;
    try {
      for (const shared of this.#shared) {
        const text = await ifThere(shared.get(token));
        if (text !== undefined) return text;
      }
      return undefined;
    } finally {
      this.#asked--;
    }
  }
}

/** `undefined` while the store is away. */
async function ifThere<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof SharedAwayError)) throw error;
    return undefined;
  }
}
