/** Checks passwords beside the event loop, few at a time, and remembers which were right. */

import type { PasswordHash } from "../../config/password_hash.ts";
import { BcryptChecks } from "./bcrypt.ts";
import { Check, type Outcome } from "./check.ts";
import { Remembered } from "./remembered.ts";
import { Turns } from "./turns.ts";

/** What is to be checked. */
export interface PasswordQuestion {
  /** See `PasswordChecks.key`. */
  readonly key: string;
  readonly password: string;
  readonly hash: PasswordHash;
  /** Whether the answer may be yes. `false`: the hash is there only to take the usual time. */
  readonly isKnown: boolean;
  /** Whoever asks. Clients get their turns one after the other. */
  readonly client: string;
}

/** One hash at a time, so that the other cores are left to the requests. */
const AT_A_TIME = 1;

export interface PasswordChecksOptions {
  readonly bcrypt?: BcryptChecks;
  /** A clock in milliseconds that never goes back. */
  readonly now?: () => number;
}

/** Owns what checks passwords in an isolate. Holds nothing until the first question. */
export class PasswordChecks implements Disposable {
  readonly #bcrypt: BcryptChecks;
  readonly #remembered: Remembered;
  readonly #turns = new Turns(AT_A_TIME);
  readonly #checks = new Map<string, Check>();

  constructor({ bcrypt = new BcryptChecks(), now = () => performance.now() }: PasswordChecksOptions = {}) {
    this.#bcrypt = bcrypt;
    this.#remembered = new Remembered(now);
  }

  /** How many checks run or wait. */
  get size(): number {
    return this.#checks.size;
  }

  /**
   * The key of credentials that are checked against a hash.
   *
   * @param hash as the configuration writes it
   */
  key(hash: string, credentials: string): string {
    return this.#remembered.key(hash, credentials);
  }

  /** Whether these credentials were right within the last minute. */
  wereRight(key: string): boolean {
    return this.#remembered.has(key);
  }

  /** Checks a password. Equal questions at the same time are checked once. Never rejects. The signal ends the wait. */
  check(question: PasswordQuestion, signal: AbortSignal): Promise<Outcome> {
    const shared = sharedKey(question);
    const begun = this.#checks.get(shared);
    if (begun !== undefined) return begun.outcomeFor(signal);
    const check = new Check(question.client, {
      work: () => this.#answer(question),
      abandoned: () => {
        if (this.#turns.leave(check)) this.#checks.delete(shared);
      },
      displaced: () => this.#checks.delete(shared),
    });
    this.#checks.set(shared, check);
    if (this.#turns.enter(check)) return check.outcomeFor(signal);
    this.#checks.delete(shared);
    return Promise.resolve("busy");
  }

  /** Ends what has been started. bcrypt's checks that have not ended come out as an error. */
  [Symbol.dispose](): void {
    this.#bcrypt[Symbol.dispose]();
  }

  async #answer(question: PasswordQuestion): Promise<Outcome> {
    const { key, password, hash, isKnown } = question;
    try {
      const matches = hash.kind === "scrypt"
        ? await (await import("./scrypt.ts")).matchesScrypt(password, hash) // with node:crypto
        : await this.#bcrypt.matches(password, hash.text);
      if (!matches || !isKnown) return "wrong";
      this.#remembered.add(key);
      return "right";
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    } finally {
      this.#checks.delete(sharedKey(question));
    }
  }
}

/**
 * The same for equal questions. A stranger may have the key of a user of another guard, who has the hash that the
 * stranger is checked against.
 */
function sharedKey({ key, isKnown }: PasswordQuestion): string {
  return isKnown ? key : `stranger ${key}`;
}
