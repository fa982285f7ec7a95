/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** The main module of the isolate that checks bcrypt hashes: each takes it up to a quarter of a second. */

import { compareSync } from "bcryptjs";

/** Asks whether it is the password of the hash. */
export interface BcryptQuestion {
  readonly number: number;
  readonly password: string;
  readonly hash: string;
}

export interface BcryptAnswer {
  readonly number: number;
  readonly matches: boolean;
}

self.addEventListener("message", ({ data: { number, password, hash } }: MessageEvent<BcryptQuestion>) => {
  self.postMessage({ number, matches: compareSync(password, hash) } satisfies BcryptAnswer);
});
