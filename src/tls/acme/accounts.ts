/** The account of this replica, or of all replicas. */

import type { Account, AccountKeeper } from "./account.ts";
import { SharedAwayError } from "./shared.ts";

/** Keeps an account with the other replicas, so that all have the same, and here for as long as they are away. */
export class SharedAccount implements AccountKeeper {
  readonly #own: AccountKeeper;
  readonly #shared: AccountKeeper;

  constructor(own: AccountKeeper, shared: AccountKeeper) {
    this.#own = own;
    this.#shared = shared;
  }

  async account(): Promise<Account | undefined> {
    const own = await this.#own.account();
    try {
      const shared = await this.#shared.account();
      if (shared === undefined && own !== undefined) await this.#shared.keepAccount(own);
      return shared ?? own;
    } catch (error) {
      if (!(error instanceof SharedAwayError)) throw error;
      return own;
    }
  }

  async keepAccount(account: Account): Promise<void> {
    await this.#own.keepAccount(account);
    try {
      await this.#shared.keepAccount(account);
    } catch (error) {
      if (!(error instanceof SharedAwayError)) throw error; // the next order shares it
    }
  }
}
