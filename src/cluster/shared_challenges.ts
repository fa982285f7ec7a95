/** Keeps the answers to the challenges of authorities in the store, so that every replica has them. */

import type { SharedChallenges } from "../tls/acme/shared.ts";
import { type StoreScripts, textIn } from "./store_scripts.ts";

/** How long a challenge may take. */
const KEPT_MS = 15 * 60_000;
const MAX_BYTES = 1024;

const GET = `
if redis.call('STRLEN', KEYS[1]) > tonumber(ARGV[1]) then return redis.error_reply('TOOLARGE') end
return redis.call('GET', KEYS[1])`;
const SET = `return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])`;
const DELETE = `return redis.call('DEL', KEYS[1])`;

/** A token and the digest of a key (RFC 8555 §8.1). Whoever writes to the store could have anything served otherwise. */
const KEY_AUTHORIZATION = /^[A-Za-z0-9_-]{22,256}\.[A-Za-z0-9_-]{43}$/;

export class StoreChallenges implements SharedChallenges {
  readonly #scripts: StoreScripts;

  constructor(scripts: StoreScripts) {
    this.#scripts = scripts;
  }

  async get(token: string): Promise<string | undefined> {
    const found = textIn(await this.#scripts.run(GET, keyOf(token), MAX_BYTES));
    return found !== undefined && KEY_AUTHORIZATION.test(found) && found.startsWith(`${token}.`) ? found : undefined;
  }

  async put(token: string, keyAuthorization: string): Promise<void> {
    await this.#scripts.run(SET, keyOf(token), keyAuthorization, KEPT_MS);
  }

  async remove(token: string): Promise<void> {
    await this.#scripts.run(DELETE, keyOf(token));
  }
}

function keyOf(token: string): string {
  return `challenge:${token}`;
}
