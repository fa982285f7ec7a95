/** Lays the changes of the cluster over the list of a pool, and makes changes from what the admin API asks for. Pure. */

import type { BackendState, ChangedFields, PoolChange } from "../config/backend_change.ts";
import type { BackendSpec } from "../config/schema.ts";
import { type Draft, type Entry, entryKey, fingerprint, type Listing } from "./entry.ts";
import { compareRevisions } from "./revision.ts";

/** The list of a pool before any change of the cluster. */
export interface BaseList {
  /** The configuration file, or a source that finds the backends (discovery). */
  readonly origin: "file" | "found";
  readonly specs: readonly BackendSpec[];
}

/** A pool's list with the changes of the cluster. */
export interface LaidOver {
  readonly specs: readonly BackendSpec[];
  /** By URL, for the backends whose state was set. */
  readonly states: ReadonlyMap<string, BackendState>;
  /** By URL, for the backends that were removed with a drain: for how many milliseconds. */
  readonly drains: ReadonlyMap<string, number>;
}

/** Changes by `entryKey`. */
export type Entries = ReadonlyMap<string, Entry>;

/** Lays changes over a list. An entry counts only while the file says of its backend what it said at the change. */
export function layOver(pool: string, { origin, specs }: BaseList, entries: Entries): LaidOver {
  const list = new Map(specs.map((spec) => [spec.url, spec]));
  const states = new Map<string, BackendState>();
  const drains = new Map<string, number>();
  for (const entry of entriesOf(pool, entries)) {
    const { url, listing, state } = entry;
    const spec = list.get(url);
    if (!counts(entry, origin, spec)) continue;
    if (listing.kind === "removed") {
      if (spec !== undefined) list.delete(url);
      if (listing.drainMs !== null) drains.set(url, listing.drainMs);
      continue;
    }
    if (listing.kind === "listed") list.set(url, listing.spec);
    else if (spec !== undefined) list.set(url, { ...spec, ...listing.fields });
    if (state !== null && list.has(url)) states.set(url, state);
  }
  return { specs: [...list.values()], states, drains };
}

/** The entries of a pool, the oldest first, so that all replicas add backends in the same order. */
function entriesOf(pool: string, entries: Entries): Entry[] {
  return [...entries.values()].filter((entry) => entry.pool === pool)
    .sort((one, other) => compareRevisions(one.revision, other.revision));
}

/** Whether an entry counts beside what the list says of its backend. */
function counts({ was, listing }: Draft, origin: BaseList["origin"], spec: BackendSpec | undefined): boolean {
  // What a source says of a backend may change at any time. A change of it is meant to outlive that.
  if (origin === "found") return was === null && listing.kind === "changed";
  return was === wasOf(origin, spec);
}

function wasOf(origin: BaseList["origin"], spec: BackendSpec | undefined): string | null {
  return origin === "found" || spec === undefined ? null : fingerprint(spec);
}

/**
 * The entries that a change makes, one for each backend that it changes. It is made on what this replica knows: the
 * pool's list, and the entries that were laid over it.
 */
export function draftsOf({ pool, change }: PoolChange, base: BaseList, entries: Entries): Draft[] {
  const context = new DraftContext(pool, base, entries);
  switch (change.kind) {
    case "add":
      return [context.draft(change.spec.url, { kind: "listed", spec: change.spec }, null)];
    case "change":
      return [context.changed(change.url, change.fields, change.state)];
    case "remove":
      return [context.draft(change.url, { kind: "removed", drainMs: change.drainMs ?? null }, null)];
    case "replace":
      return context.replaced(change.specs, change.drainMs);
  }
}

class DraftContext {
  readonly #pool: string;
  readonly #base: BaseList;
  readonly #specs: ReadonlyMap<string, BackendSpec>;
  readonly #entries: Entries;

  constructor(pool: string, base: BaseList, entries: Entries) {
    this.#pool = pool;
    this.#base = base;
    this.#specs = new Map(base.specs.map((spec) => [spec.url, spec]));
    this.#entries = entries;
  }

  draft(url: string, listing: Listing, state: BackendState | null): Draft {
    return { pool: this.#pool, url, was: wasOf(this.#base.origin, this.#specs.get(url)), listing, state };
  }

  changed(url: string, fields: ChangedFields, state: BackendState | undefined): Draft {
    const before = this.#before(url);
    const stateNow = state ?? before?.state ?? null;
    if (before?.listing.kind === "listed") {
      return this.draft(url, { kind: "listed", spec: { ...before.listing.spec, ...fields } }, stateNow);
    }
    const earlier = before?.listing.kind === "changed" ? before.listing.fields : {};
    return this.draft(url, { kind: "changed", fields: { ...earlier, ...fields } }, stateNow);
  }

  /** Backends that stay as they are need no entry. */
  replaced(specs: readonly BackendSpec[], drainMs: number): Draft[] {
    const { specs: present } = layOver(this.#pool, this.#base, this.#entries);
    const wanted = new Set(specs.map(({ url }) => url));
    const listed = new Map(present.map((spec) => [spec.url, fingerprint(spec)]));
    return [
      ...specs.filter((spec) => listed.get(spec.url) !== fingerprint(spec))
        .map((spec) => this.draft(spec.url, { kind: "listed", spec }, this.#before(spec.url)?.state ?? null)),
      ...present.filter(({ url }) => !wanted.has(url))
        .map(({ url }) => this.draft(url, { kind: "removed", drainMs }, null)),
    ];
  }

  /** The entry of a backend, if it counts. */
  #before(url: string): Entry | undefined {
    const entry = this.#entries.get(entryKey({ pool: this.#pool, url }));
    return entry !== undefined && counts(entry, this.#base.origin, this.#specs.get(url)) ? entry : undefined;
  }
}
