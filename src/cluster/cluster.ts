/** This replica's part in the cluster: the document of changes, kept the same in all replicas through the store. */

import type { PoolChange } from "../config/backend_change.ts";
import { parseRedisUrl, REDIS_URL_WANTED } from "../config/redis_url.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";
import { settlesWithin } from "../settles_within.ts";
import { VERSION } from "../version.ts";
import { StoreConnection } from "./connection.ts";
import type { ExpectedDraft, Store } from "./store.ts";
import { type Draft, type Entry, entryKey, entryView } from "./entry.ts";
import { ClusterConflictError, ClusterFullError, StoreAwayError, StoreContentError } from "./errors.ts";
import { type BaseList, draftsOf, type Entries, type LaidOver, layOver } from "./overlay.ts";
import { OwnWord } from "./own_word.ts";
import { Presence } from "./presence.ts";
import { LinkError, RefusedError } from "./redis_link.ts";
import { counterOf, newMark } from "./revision.ts";
import { conflictOf, inOrder, SharedDocument } from "./shared_document.ts";
import { type KeptLimits, SharedLimits } from "./shared_limits.ts";
import type { Settled, Spent } from "./settlement.ts";
import { StateFile } from "./state_file.ts";
import type { ClusterStatus, EntryView, HealthView } from "./views.ts";

/** What a `Cluster` works with. */
export interface ClusterOptions {
  /** `redis://` or `rediss://`, with password and database. */
  readonly redis: string;
  /** What the names of its keys begin with. */
  readonly prefix: string;
  /** Where this replica's admin API listens, `HOST:PORT`. */
  readonly admin: () => string;
  /** The list of a pool without changes of the cluster. */
  readonly listOf: (pool: string) => BaseList;
  /** Told when the store is away, with the reason, and when it is back. */
  readonly availability: (up: boolean, error: string | null) => void;
  /** The folder for state. `undefined`: nothing is kept for a start without the store. */
  readonly directory: string | undefined;
  /** Tells this replica from others that use the same folder. */
  readonly owner: string;
  readonly log: Log;
  readonly clock: Clock;
  /** From 0 up to 1. Default: `Math.random`. */
  readonly random?: () => number;
}

/** How the store can fail. */
const AWAY = [LinkError, RefusedError, StoreContentError];
/** How long a start waits for the store. */
const START_MS = 1000;
/** How long a change takes at most. It is not sent any more after the half of it. */
const RECORD_MS = 2000;
/** How often the whole document is read, whatever the store says of its version. */
const REREAD_MS = 10_000;
/** Why it is away before the first try has ended. */
const NOT_YET = "not connected yet";
/** How often a change is tried again because the document has moved meanwhile. */
const MOST_TRIES = 3;

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #id = newMark();
  readonly #presence: Presence;
  readonly #limits: SharedLimits;
  readonly #word: OwnWord;
  readonly #file: StateFile;
  readonly #shared: SharedDocument;
  readonly #connection: StoreConnection;
  readonly #listeners = new Set<() => void>();
  /** The changes of this replica alone. */
  #local: Entries;
  /** By pool: the entries that the pool's list was made with. A change is made on these. */
  readonly #laid = new Map<string, Entries>();
  /** The views of the entries that were asked for last. There may be thousands, and a page asks every second. */
  #shown: { readonly entries: Entries; readonly views: readonly EntryView[] } | undefined;
  /** `undefined`: it is away. */
  #store: Store | undefined;
  #lastSuccess: Date | null = null;
  #error: string | null = NOT_YET;
  #readAtMs = -Infinity;
  #last: Promise<unknown> = Promise.resolve();

  /** Never fails because of the store. If it is away, goes on with the last state, if that was kept. Takes 1 s at most. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    await settlesWithin(cluster.#connection.firstTry, START_MS);
    return cluster;
  }

  private constructor(options: ClusterOptions) {
    this.#options = options;
    const { redis, prefix, directory, owner, log, clock, random = Math.random } = options;
    const target = parseRedisUrl(redis);
    if (target === undefined) throw new TypeError(`want ${REDIS_URL_WANTED}`);
    this.#presence = new Presence(this.#id);
    this.#word = new OwnWord({ version: VERSION, admin: options.admin });
    const { host, port, database } = target;
    this.#file = new StateFile({ directory, owner: `${host}:${port}/${database} ${prefix} ${owner}`, log });
    const { document, local, limits } = this.#file.read();
    this.#local = local;
    this.#limits = new SharedLimits(limits, () => this.#keep());
    this.#shared = new SharedDocument({ document, log, changed: (others) => this.#documentChanged(others) });
    this.#connection = new StoreConnection({
      target,
      prefix,
      clock,
      random,
      tick: (store, { first }) => this.#inTurn(() => this.#tick(store, first)),
      away: (reason) => this.#away(reason),
      leave: (store) => store.leave(this.#id),
    });
  }

  /**
   * Writes a change for all replicas. Takes 2 s at most. The caller then makes the change in its own pool.
   *
   * @throws {ClusterConflictError} when another replica has changed a backend, and this pool does not have that yet
   * @throws {StoreAwayError} when the store can't take it
   * @throws {ClusterFullError} when there are too many changes
   */
  async record(change: PoolChange): Promise<void> {
    const { pool } = change;
    // What others change from now on, the caller does not know yet.
    const madeOn = this.#laid.get(pool) ?? this.#shared.value.entries;
    const drafts = draftsOf(change, this.#options.listOf(pool), madeOn);
    if (drafts.length > 0) await this.#limited((sendBy) => this.#record(pool, drafts, madeOn, sendBy));
  }

  /** Makes a change for this replica alone. It lasts until the store is back. */
  recordLocally(change: PoolChange): void {
    const { pool } = change;
    const local = new Map(this.#local);
    for (const draft of draftsOf(change, this.#options.listOf(pool), this.#effective())) {
      local.set(entryKey(draft), { ...draft, revision: this.#shared.value.revision });
    }
    this.#local = local;
    this.#keep();
  }

  /** Drops the changes of all replicas. Throws as `record` does. */
  clear(): Promise<void> {
    return this.#limited(async (sendBy) => {
      const isDone = await this.#shared.clear(this.#storeBy(sendBy));
      if (!isDone) throw new StoreAwayError("the changes in the store keep changing");
    });
  }

  /** The list of a pool with the changes laid over it. The pool is to have that list: later changes are made on it. */
  laidOver(pool: string, base: BaseList): LaidOver {
    this.#laid.set(pool, this.#shared.value.entries);
    return layOver(pool, base, this.#effective());
  }

  /** Calls `changed` when the lists of pools have to be laid over again. Returns a function that ends that. */
  subscribe(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  }

  /** Takes what this replica thinks of each backend, to tell the others. */
  report(view: HealthView): void {
    this.#word.report(view);
  }

  /** How many replicas share limits, and what keys are made with. */
  get limits(): KeptLimits {
    return this.#limits.kept;
  }

  /** Settles what was spent of limits. Takes 1 s at most. `undefined`: it can't be settled now. */
  async settle(spent: readonly Spent[], keepMs: number): Promise<readonly Settled[] | undefined> {
    try {
      const store = this.#store;
      const settled = await store?.settle(this.#limits.kept.seed, spent, keepMs);
      if (settled === undefined && store !== undefined) await this.#limits.agree(store);
      return settled;
    } catch (error) {
      if (AWAY.some((kind) => error instanceof kind)) return undefined; // the heartbeat says so
      throw error;
    }
  }

  /** The store; `undefined`: it is away. */
  get store(): Store | undefined {
    return this.#store;
  }

  status(): ClusterStatus {
    const { entries, revision } = this.#shared.value;
    return {
      id: this.#id,
      up: this.#store !== undefined,
      lastSuccess: this.#lastSuccess,
      error: this.#error,
      version: counterOf(revision),
      entries: this.#viewsOf(entries),
      local: inOrder(this.#local).map(entryView),
      replicas: this.#presence.statuses(this.#word.view),
    };
  }

  /** Leaves the cluster. Settles when nothing of it is left. */
  async stop(): Promise<void> {
    await this.#connection.stop();
    await this.#file.settled();
  }

  // Following the store

  async #tick(store: Store, first: boolean): Promise<void> {
    const again = first || performance.now() - this.#readAtMs >= REREAD_MS;
    if (first) await this.#limits.agree(store);
    const said = this.#word.next(counterOf(this.#shared.value.revision), first);
    let refusal: RefusedError | undefined;
    let isBehind = true;
    try {
      const { version, line, words } = await store.beat(this.#id, said.said, said.view);
      this.#presence.heard(words);
      this.#limits.heard(this.#presence.size);
      const { value } = this.#shared;
      isBehind = version !== value.revision || line !== value.line;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refusal = error; // a store that takes no writes may still be read
    }
    if (isBehind || again) await this.#shared.follow(store, { again });
    if (again) this.#readAtMs = performance.now();
    if (refusal !== undefined) throw refusal;
    const unknown = this.#presence.nextUnknown();
    if (unknown !== undefined) this.#presence.learn(unknown, await store.view(unknown));
    this.#succeeded(store);
  }

  #succeeded(store: Store): void {
    const isBack = this.#store === undefined;
    this.#store = store;
    this.#lastSuccess = new Date(this.#options.clock.now());
    this.#error = null;
    if (this.#local.size > 0) {
      this.#local = new Map();
      this.#documentChanged(true);
    }
    if (!isBack) return;
    this.#options.log.info("cluster store connected", { version: counterOf(this.#shared.value.revision) });
    this.#options.availability(true, null);
  }

  #away(reason: string): void {
    const isNew = this.#store !== undefined || this.#lastSuccess === null && this.#error === NOT_YET;
    this.#store = undefined;
    this.#error = reason;
    this.#limits.lost();
    if (!isNew) return;
    this.#options.log.warn("cluster store away", { error: reason });
    this.#options.availability(false, reason);
  }

  #documentChanged(others: boolean): void {
    this.#keep();
    if (others) { for (const changed of [...this.#listeners]) changed(); }
  }

  #keep(): void {
    this.#file.keep({
      document: this.#shared.value,
      local: this.#local,
      limits: this.#limits.kept,
    });
  }

  #viewsOf(entries: Entries): readonly EntryView[] {
    if (this.#shown?.entries !== entries) this.#shown = { entries, views: inOrder(entries).map(entryView) };
    return this.#shown.views;
  }

  /** All changes that count for this replica. */
  #effective(): Entries {
    const { entries } = this.#shared.value;
    return this.#local.size === 0 ? entries : new Map([...entries, ...this.#local]);
  }

  // Writing to the store

  async #record(pool: string, drafts: readonly Draft[], madeOn: Entries, sendBy: number): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const store = this.#storeBy(sendBy);
      const conflict = conflictOf(drafts, { madeOn, present: this.#shared.value.entries });
      if (conflict !== undefined) throw conflictError(conflict.draft.url, conflict.present);
      const expected = drafts.map((draft): ExpectedDraft => {
        return { draft, expected: madeOn.get(entryKey(draft))?.revision ?? "" };
      });
      const { kind } = await this.#shared.record(store, expected);
      if (kind === "done") return this.#laidAnew(pool, madeOn, expected);
      if (kind === "full") throw new ClusterFullError("the store has as many changes as it may have; drop them");
      if (kind === "late") throw new StoreAwayError("the store runs commands too late");
      await this.#shared.follow(store, { again: false });
    }
    throw new StoreAwayError("the changes in the store keep changing");
  }

  /** The pool will have this change, but not yet what others have changed meanwhile. */
  #laidAnew(pool: string, madeOn: Entries, drafts: readonly ExpectedDraft[]): void {
    const laid = new Map(madeOn);
    for (const { draft } of drafts) {
      const key = entryKey(draft);
      const entry = this.#shared.value.entries.get(key);
      if (entry !== undefined) laid.set(key, entry);
    }
    this.#laid.set(pool, laid);
  }

  /** The store, if it is there and a command may still be sent. */
  #storeBy(sendBy: number): Store {
    if (this.#store === undefined) throw new StoreAwayError(`the store is away: ${this.#error}`);
    if (performance.now() > sendBy) throw new StoreAwayError("the store is too slow");
    return this.#store;
  }

  /** Runs a change of the document within its limit. It sends nothing after half of it. */
  async #limited(write: (sendBy: number) => Promise<void>): Promise<void> {
    const sendBy = performance.now() + RECORD_MS / 2;
    const written = this.#inTurn(() => write(sendBy)).catch((error) => {
      if (AWAY.some((kind) => error instanceof kind)) {
        throw new StoreAwayError(`the store is away: ${messageOf(error)}`, { cause: error });
      }
      throw error;
    });
    if (!await settlesWithin(written, RECORD_MS)) throw new StoreAwayError("the store is too slow");
  }

  /** Runs work on the document when earlier work has ended. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {}); // the caller gets the error
    return result;
  }
}

function conflictError(url: string, present: Entry | undefined): ClusterConflictError {
  const message = `another replica has changed ${url} meanwhile`;
  return new ClusterConflictError(message, present === undefined ? null : entryView(present));
}
