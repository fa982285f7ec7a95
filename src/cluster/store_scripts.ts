/** Runs scripts in the store for what replicas share of their certificates. */

import { messageOf } from "../errors.ts";
import { SharedAwayError } from "../tls/acme/shared.ts";
import { StoreContentError } from "./errors.ts";
import { LinkError, RefusedError, type Reply } from "./redis_link.ts";
import type { Store } from "./store.ts";

export class StoreScripts {
  readonly #store: () => Store | undefined;

  /** @param store `undefined`: it is away */
  constructor(store: () => Store | undefined) {
    this.#store = store;
  }

  /**
   * Runs a script on one key.
   *
   * @throws {SharedAwayError} when the store is away or refuses it
   */
  async run(script: string, key: string, ...args: readonly (string | number)[]): Promise<Reply> {
    const store = this.#store();
    if (store === undefined) throw new SharedAwayError("the store is away");
    try {
      return await store.run(script, key, args);
    } catch (error) {
      if (![LinkError, RefusedError, StoreContentError].some((kind) => error instanceof kind)) throw error;
      throw new SharedAwayError(messageOf(error), { cause: error });
    }
  }
}

/** `undefined`: the reply is no text. */
export function textIn(reply: Reply): string | undefined {
  return typeof reply === "string" ? reply : undefined;
}
