/** The account with an authority. */

/** What is kept of it. */
export interface Account {
  /** Its private key in PEM. */
  readonly key: string;
  /** What the authority calls it; `undefined`: it is not registered yet. */
  readonly url: string | undefined;
  /** The address that the authority was told. */
  readonly email: string | null;
}

/** Where it is kept. */
export interface AccountKeeper {
  account(): Promise<Account | undefined>;
  keepAccount(account: Account): Promise<void>;
}
