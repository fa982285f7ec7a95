/** Keeps the account, the certificates and the failures with one authority in files, for the next start. */

import { createHash } from "node:crypto";
import * as z from "zod";
import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import { readRegularFile } from "../../regular_file.ts";
import { whyNotKept } from "../../state_directory.ts";
import type { ServerCertificate } from "../server_certificate.ts";
import type { Account, AccountKeeper } from "./account.ts";
import { NO_TRIES, type Tries } from "./schedule.ts";

export interface StateFolderOptions {
  /** The folder for state. `undefined`: there is none. */
  readonly state: string | undefined;
  /** The URL of the authority's directory. */
  readonly directory: string;
  readonly log: Log;
}

const account = z.strictObject({
  key: z.string(),
  url: z.string().optional(),
  email: z.string().nullable(),
});

const tries = z.strictObject({
  failures: z.int().min(1),
  lastMs: z.number(),
  notBeforeMs: z.number().nullable(), // JSON has no infinity
  error: z.string().nullable(),
});

const CERTIFICATE_BEGINS = "-----BEGIN CERTIFICATE-----";

export class StateFolder implements AccountKeeper {
  readonly #path: string | undefined;
  readonly #log: Log;
  #warned = false;
  // What can't be kept is remembered for as long as the process runs.
  #account: Account | undefined;
  readonly #certificates = new Map<string, ServerCertificate>();
  /** By name: what was kept before the order that is under way in this process. */
  readonly #underWay = new Map<string, Tries>();

  constructor({ state, directory, log }: StateFolderOptions) {
    this.#log = log;
    // Each authority has its own: accounts of one are nothing to another, nor are certificates for tests to clients.
    const digest = createHash("sha256").update(directory).digest("hex").slice(0, 8);
    const path = state && `${state}/acme/${new URL(directory).hostname}-${digest}`;
    const reason = whyNotKept(path);
    if (reason === undefined) this.#path = path;
    else this.#warn(reason);
  }

  account(): Promise<Account | undefined> {
    const kept = this.#json("account.json", account);
    return Promise.resolve(kept === undefined ? this.#account : { ...kept, url: kept.url });
  }

  async keepAccount(account: Account): Promise<void> {
    this.#account = account;
    await this.#write("account.json", JSON.stringify(account));
  }

  /** The certificate of a name. Whether it can still be used is for the caller to find out. */
  certificate(name: string): ServerCertificate | undefined {
    const text = this.#text(`${name}.pem`);
    const end = text?.indexOf(CERTIFICATE_BEGINS) ?? -1;
    return text === undefined || end < 0
      ? this.#certificates.get(name)
      : { key: text.slice(0, end), cert: text.slice(end) };
  }

  /** Key and certificate are one file, so that they always belong together. */
  async keepCertificate(name: string, { cert, key }: ServerCertificate): Promise<void> {
    this.#certificates.set(name, { cert, key });
    await this.#write(`${name}.pem`, `${key.trimEnd()}\n${cert.slice(cert.indexOf(CERTIFICATE_BEGINS))}`);
  }

  /** What became of the last orders for a name; `null`: for any name. */
  tries(name: string | null): Tries {
    const before = name === null ? undefined : this.#underWay.get(name);
    if (before !== undefined) return before;
    const kept = this.#json(triesFile(name), tries);
    return kept === undefined ? NO_TRIES : { ...kept, notBeforeMs: kept.notBeforeMs ?? -Infinity };
  }

  /**
   * Keeps an order that begins as one that has failed, for a process that does not survive it. This process does not see
   * that: a reload may come in the middle.
   */
  async beginTry(name: string, before: Tries, begun: Tries): Promise<void> {
    this.#underWay.set(name, before);
    await this.#write(triesFile(name), JSON.stringify(begun));
  }

  async keepTries(name: string | null, tries: Tries): Promise<void> {
    if (name !== null) this.#underWay.delete(name);
    if (tries.failures > 0) return await this.#write(triesFile(name), JSON.stringify(tries));
    if (this.#path !== undefined) await Deno.remove(`${this.#path}/${triesFile(name)}`).catch(() => {}); // there is none
  }

  /**
   * Makes other processes that use the folder wait. Ends by itself with the process. `undefined`: another process has
   * done so.
   */
  async lock(): Promise<Disposable | undefined> {
    const file = await this.#open("lock");
    if (file === undefined) return { [Symbol.dispose]() {} }; // nobody shares a folder that is not there
    if (await file.tryLock(true)) return file;
    file.close();
    return undefined;
  }

  async #open(name: string): Promise<Deno.FsFile | undefined> {
    if (this.#path === undefined) return undefined;
    try {
      await this.#make(this.#path);
      return await Deno.open(`${this.#path}/${name}`, { create: true, write: true, mode: 0o600 });
    } catch (error) {
      this.#warn(messageOf(error));
      return undefined;
    }
  }

  #text(name: string): string | undefined {
    if (this.#path === undefined) return undefined;
    try {
      return readRegularFile(`${this.#path}/${name}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) this.#unused(name, messageOf(error));
      return undefined;
    }
  }

  #json<T>(name: string, schema: z.ZodType<T>): T | undefined {
    const text = this.#text(name);
    if (text === undefined) return undefined;
    try {
      return schema.parse(JSON.parse(text));
    } catch {
      this.#unused(name, "it is damaged"); // not the parser's words: they may show a part of a key
      return undefined;
    }
  }

  async #make(path: string): Promise<void> {
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
    await Deno.chmod(path, 0o700); // it may exist with another mode
  }

  /** Replaced whole or not at all, so that a crash leaves the file before. */
  async #write(name: string, text: string): Promise<void> {
    if (this.#path === undefined) return;
    const path = `${this.#path}/${name}`;
    const temporary = `${path}.${Deno.pid}.tmp`;
    try {
      await this.#make(this.#path);
      {
        using file = await Deno.open(temporary, { create: true, truncate: true, write: true, mode: 0o600 });
        const bytes = new TextEncoder().encode(text);
        for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
        await file.sync();
      }
      await Deno.rename(temporary, path);
    } catch (error) {
      await Deno.remove(temporary).catch(() => {}); // it does not exist
      this.#warn(messageOf(error));
    }
  }

  #unused(name: string, reason: string): void {
    this.#log.warn("kept file not used", { path: `${this.#path}/${name}`, reason });
  }

  #warn(reason: string): void {
    if (this.#warned) return;
    this.#warned = true;
    const consequence = "the next start orders all certificates anew";
    this.#log.warn("certificates not kept", { directory: this.#path, reason, consequence });
  }
}

/** No name of a host is empty. */
function triesFile(name: string | null): string {
  return `${name ?? ""}.tries.json`;
}
