/** What the cluster asks of the store, over one connection. */

import {
  type ChangeDocument,
  type DocumentFields,
  EMPTY,
  fieldsOf,
  MAX_DOCUMENT_BYTES,
  MAX_ENTRIES,
  readDocumentInParts,
} from "./document.ts";
import { type Draft, draftText, type Entry, entryKey } from "./entry.ts";
import { StoreContentError } from "./errors.ts";
import { COMMAND_MS, type RedisLink, type Reply } from "./redis_link.ts";
import { newMark } from "./revision.ts";
import { HEARTBEAT, LEAVE, READ, RECORD, REPLACE, SEED, SETTLE, VIEW } from "./scripts.ts";
import { isSeed, MOST_HEARD, MOST_KEPT, type Settled, settledIn, type Spent } from "./settlement.ts";

/** How a write ended. Except for `done`, nothing has changed. */
export type Written =
  | { readonly kind: "done"; readonly revision: string; readonly line: string }
  /** The document belongs to another line or has another version: read it first. */
  | { readonly kind: "moved" }
  /** A backend has another entry than the writer knows. */
  | { readonly kind: "conflict" }
  | { readonly kind: "full" }
  /** The store ran the command too late. */
  | { readonly kind: "late" };

/** What a replica says, and when the store heard it. */
export interface Word {
  readonly id: string;
  readonly ageMs: number;
  readonly said: string;
}

/** What a heartbeat tells. */
export interface Beat {
  readonly version: string;
  readonly line: string;
  readonly words: readonly Word[];
}

/** A new entry, and the revision that the present entry of its backend must have; `""`: it must have none. */
export interface ExpectedDraft {
  readonly draft: Draft;
  readonly expected: string;
}

/** How long a replica stays in the list without a word. */
const STAYS_MS = 30_000;
export const MAX_REPLICAS = 128;
/** The most bytes of what a replica thinks of all backends. */
export const MAX_VIEW_BYTES = 1024 ** 2;

export class Store {
  readonly #link: RedisLink;
  readonly #keys: ReturnType<typeof keysFor>;
  /** From when on it is not known what replicas have spent of limits, by the store's clock. */
  #unsettledFrom = "0";
  /** What was read last. */
  #lastRead: { readonly digest: string; readonly document: ChangeDocument } | undefined;
  /** The store's clock at a moment of ours. */
  #time: { readonly storeMs: number; readonly atMs: number } | undefined;

  constructor(link: RedisLink, prefix: string) {
    this.#link = link;
    this.#keys = keysFor(prefix);
  }

  /**
   * Reads the document, unless it is the one that is known. `undefined`: there is none. `again`: reads it even if it has
   * the version that is known.
   */
  async read(known: ChangeDocument, { again }: { readonly again: boolean }): Promise<ChangeDocument | undefined> {
    const { revision, line } = again ? EMPTY : known;
    const digest = again ? this.#lastRead?.digest ?? "" : "";
    const limits = [MAX_ENTRIES + 3, MAX_DOCUMENT_BYTES];
    const reply = await this.#run(READ, [this.#keys.document], [revision, line, digest, ...limits]);
    const [first, text] = textsIn(reply);
    if (first === undefined) return undefined;
    if (text === undefined) return again ? this.#lastRead?.document : known; // "same"
    const document = await readDocumentInParts(fieldsIn(text), known);
    this.#lastRead = { digest: first, document };
    return document;
  }

  /** Adds entries, or changes them, in one step. `left`: entries that make room. */
  async record(
    known: ChangeDocument,
    drafts: readonly ExpectedDraft[],
    left: readonly Entry[],
  ): Promise<Written> {
    const newLine = newMark();
    const args = [
      this.#deadline(),
      known.line,
      newLine,
      newMark(),
      this.#keys.channel,
      MAX_ENTRIES,
      left.length,
      ...left.flatMap((entry) => [entryKey(entry), entry.revision]),
      ...drafts.flatMap(({ draft, expected }) => [entryKey(draft), expected, draftText(draft)]),
    ];
    return writtenIn(await this.#run(RECORD, [this.#keys.document], args), known.line === "" ? newLine : known.line);
  }

  /** Replaces the document, if it still is `stored`; `undefined`: if there still is none. */
  async replace(stored: ChangeDocument | undefined, next: ChangeDocument): Promise<Written> {
    const args = [
      this.#deadline(),
      stored?.revision ?? "",
      stored?.line ?? "",
      this.#keys.channel,
      ...[...fieldsOf(next)].flat(),
    ];
    return writtenIn(await this.#run(REPLACE, [this.#keys.document], args), next.line);
  }

  /** Says that this replica is there, and hears of the others. `view`: what it thinks of the backends, if that is new. */
  async beat(id: string, said: string, view: string): Promise<Beat> {
    const { document, replicas, seen, views } = this.#keys;
    const reply = await this.#run(
      HEARTBEAT,
      [document, replicas, seen, views],
      [id, said, STAYS_MS, MAX_REPLICAS, view],
    );
    const [time, version, line, ...rest] = textsIn(reply);
    const nowMs = Number(time);
    if (version === undefined || line === undefined || !(nowMs > 0)) throw new StoreContentError("no such heartbeat");
    this.#time = { storeMs: nowMs, atMs: performance.now() };
    const words: Word[] = [];
    for (let i = 0; i + 2 < rest.length; i += 3) {
      const [name = "", at = "", text = ""] = rest.slice(i, i + 3);
      words.push({ id: name, ageMs: Math.max(0, nowMs - Number(at)), said: text });
    }
    return { version, line, words };
  }

  /** What a replica thinks of the backends, as it has written it. */
  async view(id: string): Promise<string> {
    const reply = await this.#run(VIEW, [this.#keys.views], [id, MAX_VIEW_BYTES]);
    return typeof reply === "string" ? reply : "";
  }

  /** The seed of the limits that replicas share: this one, if there is none yet. */
  async seed(own: string): Promise<string> {
    const [seed = ""] = textsIn(await this.#run(SEED, [this.#keys.seed], [own]));
    if (!isSeed(seed)) throw new StoreContentError("no such seed");
    return seed;
  }

  /**
   * Tells what this replica has spent of limits, and hears of all keys that were spent of since the last call.
   * `undefined`: the others have another seed.
   */
  async settle(seed: string, spent: readonly Spent[], keepMs: number): Promise<readonly Settled[] | undefined> {
    const { seed: seedKey, allowances, spending } = this.#keys;
    const args = [seed, this.#unsettledFrom, MOST_HEARD, MOST_KEPT, Math.ceil(keepMs)];
    const all = [...args, ...spent.flatMap(({ field, spentUs, burstUs }) => [field, spentUs, burstUs])];
    const read = settledIn(textsIn(await this.#run(SETTLE, [seedKey, allowances, spending], all)), seed);
    this.#unsettledFrom = read?.next ?? "0";
    return read?.settled;
  }

  /** Runs a script on one key of another part of the cluster. */
  run(script: string, key: string, args: readonly (string | number)[]): Promise<Reply> {
    return this.#run(script, [this.#keys.named(key)], args);
  }

  /** Says that this replica leaves. */
  async leave(id: string): Promise<void> {
    const { replicas, seen, views } = this.#keys;
    await this.#run(LEAVE, [replicas, seen, views], [id]);
  }

  /** The latest time, by the store's clock, at which a write may run whose sender waits from now on. */
  #deadline(): string {
    if (this.#time === undefined) throw new StoreContentError("its time is not known yet");
    const { storeMs, atMs } = this.#time;
    return String(Math.floor(storeMs + performance.now() - atMs + COMMAND_MS));
  }

  #run(script: string, keys: readonly string[], args: readonly (string | number)[]): Promise<Reply> {
    return this.#link.call("EVAL", script, keys.length, ...keys, ...args);
  }
}

/** All keys of a prefix are in one slot of a Redis Cluster. */
function keysFor(prefix: string) {
  const named = (name: string) => `{${prefix}}:${name}`;
  return {
    named,
    document: named("changes"),
    replicas: named("replicas"),
    seen: named("seen"),
    views: named("views"),
    seed: named("seed"),
    allowances: named("allowances"),
    spending: named("spending"),
    channel: channelOf(prefix),
  };
}

/** The channel on which the store tells that the document has changed. */
export function channelOf(prefix: string): string {
  return `{${prefix}}:changed`;
}

function textsIn(reply: Reply): string[] {
  if (!Array.isArray(reply)) throw new StoreContentError("the reply is no list");
  return reply.map((item: Reply) => {
    if (typeof item !== "string") throw new StoreContentError("the reply is no list of texts");
    return item;
  });
}

function fieldsIn(text: string): DocumentFields {
  const texts = text.split("\0");
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < texts.length; i += 2) fields.set(texts[i] ?? "", texts[i + 1] ?? "");
  return fields;
}

function writtenIn(reply: Reply, line: string): Written {
  const [kind, revision = ""] = textsIn(reply);
  switch (kind) {
    case "done":
      return { kind, revision, line };
    case "moved":
    case "conflict":
    case "full":
    case "late":
      return { kind };
    default:
      throw new StoreContentError("the reply to a change is none that a script of roundhouse gives");
  }
}
