/** This replica's copy of the document, and how it is kept the same as the store's. */

import type { Log } from "../log.ts";
import { type ChangeDocument, expendable, MAX_ENTRIES, mayLack, merge, sameChanges } from "./document.ts";
import { type Draft, type Entry, entryKey } from "./entry.ts";
import { RefusedError } from "./redis_link.ts";
import { compareRevisions, counterOf, newMark, revisionOf } from "./revision.ts";
import type { ExpectedDraft, Store, Written } from "./store.ts";

/** What a `SharedDocument` works with. */
export interface SharedDocumentOptions {
  /** The last state. */
  readonly document: ChangeDocument;
  /** Called after each change of the copy. `others`: others have made changes, or dropped them. */
  readonly changed: (others: boolean) => void;
  readonly log: Log;
}

/** How often something is tried again because the document has moved meanwhile. */
const MOST_TRIES = 4;

/** Calls that use the store are made one after the other. */
export class SharedDocument {
  readonly #changed: (others: boolean) => void;
  readonly #log: Log;
  #value: ChangeDocument;

  constructor({ document, changed, log }: SharedDocumentOptions) {
    this.#value = document;
    this.#changed = changed;
    this.#log = log;
  }

  get value(): ChangeDocument {
    return this.#value;
  }

  /**
   * Reads the store's document and takes it over. If the store has lost something that this replica knows, fills it
   * first. `again`: reads it even if its version is known.
   */
  async follow(store: Store, { again }: { readonly again: boolean }): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const stored = await store.read(this.#value, { again });
      if (stored === undefined && this.#value.line === "") return; // nobody has changed anything yet
      if (stored !== undefined && !mayLack(stored, this.#value)) return this.#adopt(stored);
      if (await this.#fill(store, stored)) return;
    }
    throw new RefusedError("its document keeps changing");
  }

  /**
   * Writes entries into the store and into this copy. Each is expected to have the revision that the draft names. Except
   * for `done`, nothing has changed.
   */
  async record(store: Store, drafts: readonly ExpectedDraft[]): Promise<Written> {
    const fresh = drafts.filter(({ expected }) => expected === "").length;
    const over = this.#value.entries.size + fresh - MAX_ENTRIES;
    const left = over > 0 ? expendable(this.#value).slice(0, over) : [];
    const before = this.#value;
    const written = await store.record(before, drafts, left);
    if (written.kind !== "done") return written;
    const { revision, line } = written;
    if (counterOf(revision) !== counterOf(before.revision) + 1) {
      // Others have changed other backends meanwhile.
      await this.follow(store, { again: false });
      return written;
    }
    const entries = new Map(before.entries);
    for (const entry of left) entries.delete(entryKey(entry));
    for (const { draft } of drafts) entries.set(entryKey(draft), { ...draft, revision });
    this.#value = { ...before, line, revision, entries };
    this.#changed(false);
    return written;
  }

  /** Drops all changes, in the store and in this copy. Returns whether that was done. */
  async clear(store: Store): Promise<boolean> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      await this.follow(store, { again: false });
      const { line, revision } = this.#value;
      const counter = counterOf(revision) + 1;
      const next = {
        line: line === "" ? newMark() : line,
        revision: revisionOf(counter, newMark()),
        floor: counter,
        entries: new Map<string, Entry>(),
      };
      const written = await store.replace(line === "" ? undefined : this.#value, next);
      if (written.kind === "done") this.#adopt(next);
      if (written.kind !== "moved") return written.kind === "done";
    }
    return false;
  }

  /** Writes what the store lacks into it. Returns whether the copy and the store are the same now. */
  async #fill(store: Store, stored: ChangeDocument | undefined): Promise<boolean> {
    const joined = stored === undefined ? this.#value : merge(stored, this.#value);
    if (stored !== undefined && sameChanges(joined, stored)) {
      this.#adopt(stored);
      return true;
    }
    // A new line, so that each replica compares what it knows with it, whatever the versions.
    const next = { ...joined, line: newMark(), revision: revisionOf(counterOf(joined.revision) + 1, newMark()) };
    const written = await store.replace(stored, next);
    if (written.kind === "late") throw new RefusedError("it runs commands too late");
    if (written.kind !== "done") return false;
    this.#log.info("cluster store filled", { changes: next.entries.size, version: counterOf(next.revision) });
    this.#adopt(next);
    return true;
  }

  #adopt(document: ChangeDocument): void {
    const before = this.#value;
    if (before.line === document.line && before.revision === document.revision) return;
    this.#value = document;
    this.#changed(!sameChanges(before, document));
  }
}

/** The first of some backends whose entry is not the one that a change was made on. */
export function conflictOf(
  drafts: readonly Draft[],
  { madeOn, present }: {
    readonly madeOn: ReadonlyMap<string, Entry>;
    readonly present: ReadonlyMap<string, Entry>;
  },
): { readonly draft: Draft; readonly present: Entry | undefined } | undefined {
  for (const draft of drafts) {
    const key = entryKey(draft);
    const entry = present.get(key);
    if (madeOn.get(key)?.revision !== entry?.revision) return { draft, present: entry };
  }
  return undefined;
}

/** The oldest first. */
export function inOrder(entries: ReadonlyMap<string, Entry>): Entry[] {
  return [...entries.values()].sort((one, other) => compareRevisions(one.revision, other.revision));
}
