/** Keeps what the replicas share of their certificates in the store. */

import { createHash } from "node:crypto";
import * as z from "zod";
import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";
import { pause } from "../net/pause.ts";
import type { Account } from "../tls/acme/account.ts";
import { SharedAwayError, type SharedCertificates } from "../tls/acme/shared.ts";
import type { ServerCertificate } from "../tls/server_certificate.ts";
import { newMark } from "./revision.ts";
import { SealError, type Sealing } from "./sealing.ts";
import { type StoreScripts, textIn } from "./store_scripts.ts";

export interface StoreCertificatesOptions {
  /** The URL of the authority's directory. */
  readonly directory: string;
  readonly scripts: StoreScripts;
  readonly sealing: Sealing;
  readonly log: Log;
  readonly clock: Clock;
}

/** How long a lock outlives its replica. */
const LOCK_MS = 60_000;
const LOCK_AGAIN_MS = 20_000;
const MAX_BYTES = 256 * 1024;

/** Replies with a field of a hash, unless it is too long. */
const READ = `
if redis.call('HSTRLEN', KEYS[1], ARGV[1]) > tonumber(ARGV[2]) then return redis.error_reply('TOOLARGE') end
return redis.call('HGET', KEYS[1], ARGV[1])`;
/** Sets a field of a hash, and what tells that the hash has changed. */
const WRITE = `return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], 'version', ARGV[3])`;
const LOCK = `return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])`;
/** Sets the end of a lock that is still the caller's; 0: it ends now. */
const PROLONG = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`;

const account = z.strictObject({ key: z.string(), url: z.string().optional(), email: z.string().nullable() });
const certificate = z.strictObject({ cert: z.string(), key: z.string() });
export class StoreCertificates implements SharedCertificates {
  readonly #options: StoreCertificatesOptions;
  readonly #hash: string;
  #warned = false;

  constructor(options: StoreCertificatesOptions) {
    this.#options = options;
    this.#hash = `acme:${createHash("sha256").update(options.directory).digest("hex").slice(0, 12)}`;
  }

  async lock(): Promise<AsyncDisposable | undefined> {
    const [key, mark] = [`${this.#hash}:lock`, newMark()];
    if (await this.#options.scripts.run(LOCK, key, mark, LOCK_MS) === null) return undefined;
    const ended = new AbortController();
    const prolonging = this.#prolong(key, mark, ended.signal);
    return {
      [Symbol.asyncDispose]: async () => {
        ended.abort();
        await prolonging;
        await this.#options.scripts.run(PROLONG, key, mark, 0).catch(mayBeAway); // it ends soon
      },
    };
  }

  async version(): Promise<string | undefined> {
    return textIn(await this.#options.scripts.run(READ, this.#hash, "version", MAX_BYTES));
  }

  certificate(name: string): Promise<ServerCertificate | undefined> {
    return this.#read(`certificate:${name}`, certificate);
  }

  keepCertificate(name: string, { cert, key }: ServerCertificate): Promise<void> {
    return this.#write(`certificate:${name}`, certificate, { cert, key });
  }

  async account(): Promise<Account | undefined> {
    const kept = await this.#read("account", account);
    return kept && { ...kept, url: kept.url };
  }

  keepAccount({ key, url, email }: Account): Promise<void> {
    return this.#write("account", account, { key, url, email });
  }

  async #prolong(key: string, mark: string, ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      await pause(LOCK_AGAIN_MS, this.#options.clock, ended);
      if (!ended.aborted) await this.#options.scripts.run(PROLONG, key, mark, LOCK_MS).catch(mayBeAway); // it is tried again
    }
  }

  async #read<T>(field: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const sealed = textIn(await this.#options.scripts.run(READ, this.#hash, field, MAX_BYTES));
    if (sealed === undefined) return undefined;
    try {
      return schema.parse(JSON.parse(await this.#options.sealing.open(sealed, `${this.#hash} ${field}`)));
    } catch (error) {
      const reason = error instanceof SealError ? error.message : "it is none that a roundhouse has written";
      if (!this.#warned) this.#options.log.warn("shared certificates not used", { field, reason });
      this.#warned = true;
      throw new SharedAwayError(`the store's ${field} can't be used: ${reason}`, { cause: error });
    }
  }

  /** Does not overwrite what this replica can't open: one with another secret would do the same, again and again. */
  async #write<T>(field: string, schema: z.ZodType<T>, value: T): Promise<void> {
    await this.#read(field, schema);
    const sealed = await this.#options.sealing.seal(JSON.stringify(value), `${this.#hash} ${field}`);
    await this.#options.scripts.run(WRITE, this.#hash, field, sealed, newMark());
  }
}

function mayBeAway(error: unknown): void {
  if (!(error instanceof SharedAwayError)) throw error;
}
