/** Keeps the last state of the cluster in a file, for a start without the store. */

import { createHash } from "node:crypto";
import * as z from "zod";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { readRegularFile } from "../regular_file.ts";
import { whyNotKept } from "../state_directory.ts";
import { type ChangeDocument, EMPTY, fieldsOf, readDocument } from "./document.ts";
import { type Entry, entryText, parseEntry } from "./entry.ts";
import { isSeed, newSeed } from "./settlement.ts";
import type { KeptLimits } from "./shared_limits.ts";
import { MAX_REPLICAS } from "./store.ts";

/** What is kept. */
export interface KeptState {
  readonly document: ChangeDocument;
  /** The changes of this replica alone, by `entryKey`. */
  readonly local: ReadonlyMap<string, Entry>;
  /** What the replicas agree on for limits. */
  readonly limits: KeptLimits;
}

/** Whose state it is. */
export interface StateFileOptions {
  /** The folder for state. `undefined`: there is none. */
  readonly directory: string | undefined;
  /** Tells one cluster and replica from others that use the same folder. */
  readonly owner: string;
  readonly log: Log;
}

function nothing(): KeptState {
  return { document: EMPTY, local: new Map(), limits: { replicas: 1, seed: newSeed() } };
}

const contents = z.strictObject({
  document: z.record(z.string(), z.string()).nullable(),
  local: z.record(z.string(), z.string()),
  limits: z.strictObject({
    replicas: z.int().min(1).max(MAX_REPLICAS),
    seed: z.string().refine(isSeed),
  }),
});

export class StateFile {
  readonly #directory: string | undefined;
  readonly #path: string | undefined;
  readonly #log: Log;
  #waiting: KeptState | undefined;
  #writing: Promise<void> | undefined;
  #warned = false;

  constructor({ directory, owner, log }: StateFileOptions) {
    this.#log = log;
    const digest = createHash("sha256").update(owner).digest("hex").slice(0, 12);
    this.#directory = directory && `${directory}/cluster`;
    const path = this.#directory && `${this.#directory}/${digest}.json`;
    const reason = whyNotKept(path);
    if (reason === undefined) this.#path = path;
    else this.#warn(reason);
  }

  /** The state of the last run. A damaged file counts as none. */
  read(): KeptState {
    if (this.#path === undefined) return nothing();
    try {
      const { document, local, limits } = contents.parse(JSON.parse(readRegularFile(this.#path)));
      return {
        document: document === null ? EMPTY : readDocument(new Map(Object.entries(document))),
        local: new Map(Object.entries(local).map(([key, text]) => [key, parseEntry(key, text)])),
        limits,
      };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        this.#log.warn("cluster state not used", { path: this.#path, reason: messageOf(error) });
      }
      return nothing();
    }
  }

  /** Writes a state soon. Of several, only the last one is written. */
  keep(state: KeptState): void {
    if (this.#path === undefined) return;
    this.#waiting = state;
    this.#writing ??= this.#write(this.#path).finally(() => this.#writing = undefined);
  }

  /** Resolves when the last state is written. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #write(path: string): Promise<void> {
    for (let state = this.#waiting; state !== undefined; state = this.#waiting) {
      this.#waiting = undefined;
      try {
        await this.#replace(path, textOf(state));
      } catch (error) {
        this.#warn(messageOf(error));
      }
    }
  }

  /** Replaced whole or not at all, so that a crash leaves the state before. */
  async #replace(path: string, text: string): Promise<void> {
    if (this.#directory !== undefined) await Deno.mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const temporary = `${path}.${Deno.pid}.tmp`;
    try {
      await Deno.writeTextFile(temporary, text, { mode: 0o600 });
      await Deno.rename(temporary, path);
    } catch (error) {
      await Deno.remove(temporary).catch(() => {});
      throw error;
    }
  }

  #warn(reason: string): void {
    if (this.#warned) return;
    this.#warned = true;
    const consequence = "a start without the store does not know the changes";
    this.#log.warn("cluster state not kept", { directory: this.#directory, reason, consequence });
  }
}

function textOf({ document, local, limits }: KeptState): string {
  return JSON.stringify({
    document: document.line === "" ? null : Object.fromEntries(fieldsOf(document)),
    local: Object.fromEntries(Array.from(local, ([key, entry]) => [key, entryText(entry)])),
    limits,
  });
}
