/** The document that the store holds: all changes, as an immutable value. */

import { StoreContentError } from "./errors.ts";
import { type Entry, entryText, isEntryKey, parseEntry } from "./entry.ts";
import { compareRevisions, counterOf, isRevision, NO_REVISION } from "./revision.ts";

/** All changes that count. */
export interface ChangeDocument {
  /**
   * The line of versions that it belongs to. A new line begins when a replica fills a store that has lost something. In
   * one line, a higher version knows all that a lower one does.
   */
  readonly line: string;
  /** Of its last change. */
  readonly revision: string;
  /** The counter of the version that dropped all changes for the last time. 0: that never happened. */
  readonly floor: number;
  /** By `entryKey`. */
  readonly entries: ReadonlyMap<string, Entry>;
}

/** A document as the fields of a hash. */
export type DocumentFields = ReadonlyMap<string, string>;

/** A document before any change. It belongs to no line. */
export const EMPTY: ChangeDocument = { line: "", revision: NO_REVISION, floor: 0, entries: new Map() };

/** The most changes that a document holds. */
export const MAX_ENTRIES = 4096;
/** The most bytes of a document. */
export const MAX_DOCUMENT_BYTES = 8 * 1024 ** 2;

const LINE_PATTERN = /^[0-9a-f]{12}$/;

/** All fields, as the store and the state file hold them. */
export function fieldsOf({ line, revision, floor, entries }: ChangeDocument): Map<string, string> {
  const fields = new Map([["line", line], ["version", revision], ["floor", String(floor)]]);
  for (const [key, entry] of entries) fields.set(key, entryText(entry));
  return fields;
}

/**
 * Reads a document. Entries whose revision is the same as in `known` are taken from there, which is much cheaper than
 * reading thousands of them again.
 *
 * @throws {StoreContentError} for what no roundhouse has written
 */
export function readDocument(fields: DocumentFields, known: ChangeDocument = EMPTY): ChangeDocument {
  const [line, revision, floor] = ["line", "version", "floor"].map((name) => fields.get(name) ?? "");
  if (!LINE_PATTERN.test(line ?? "")) throw new StoreContentError("the document's line is missing or damaged");
  if (!isRevision(revision ?? "")) throw new StoreContentError("the document's version is missing or damaged");
  if (!/^\d{1,15}$/.test(floor ?? "")) throw new StoreContentError("the document's floor is missing or damaged");
  const entries = new Map<string, Entry>();
  for (const [key, text] of fields) {
    if (!isEntryKey(key)) continue;
    const before = known.entries.get(key);
    entries.set(key, before !== undefined && isTextOf(before, text) ? before : parseEntry(key, text));
  }
  if (entries.size > MAX_ENTRIES) throw new StoreContentError(`the document has more than ${MAX_ENTRIES} entries`);
  return { line: line ?? "", revision: revision ?? "", floor: Number(floor), entries };
}

/** How many entries are read at once. */
const PART = 100;

/** Reads a document with many new entries a part at a time, so that requests in this isolate do not wait for it. */
export async function readDocumentInParts(fields: DocumentFields, known: ChangeDocument): Promise<ChangeDocument> {
  const entries = new Map(known.entries);
  let fresh = 0;
  for (const [key, text] of fields) {
    const before = entries.get(key);
    if (!isEntryKey(key) || before !== undefined && isTextOf(before, text)) continue;
    entries.set(key, parseEntry(key, text));
    if (++fresh % PART === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  return readDocument(fields, { ...known, entries });
}

/** Each change of an entry has a revision of its own. */
function isTextOf({ revision }: Entry, text: string): boolean {
  return text.startsWith(`${revision} `);
}

/**
 * Joins two documents: of each backend the newer change counts, and a drop of all changes drops the older ones of both.
 * The result is the same whichever comes first. If one document knows all that the other does, the result has exactly
 * its changes.
 */
export function merge(one: ChangeDocument, other: ChangeDocument): ChangeDocument {
  const floor = Math.max(one.floor, other.floor);
  const newer = compareRevisions(one.revision, other.revision) >= 0 ? one : other;
  const entries = new Map<string, Entry>();
  for (const [key, entry] of [...one.entries, ...other.entries]) {
    if (counterOf(entry.revision) <= floor) continue;
    const before = entries.get(key);
    if (before === undefined || compareRevisions(before.revision, entry.revision) < 0) entries.set(key, entry);
  }
  return { line: newer.line, revision: newer.revision, floor, entries };
}

/** Whether both hold the same changes, whatever their versions. */
export function sameChanges(one: ChangeDocument, other: ChangeDocument): boolean {
  if (one.floor !== other.floor || one.entries.size !== other.entries.size) return false;
  for (const [key, { revision }] of one.entries) if (other.entries.get(key)?.revision !== revision) return false;
  return true;
}

/** Whether the store, which has `stored`, lacks something that this replica knows. */
export function mayLack(stored: ChangeDocument, known: ChangeDocument): boolean {
  if (known.line === "") return false;
  if (stored.line !== known.line) return true;
  const difference = counterOf(known.revision) - counterOf(stored.revision);
  return difference > 0 || (difference === 0 && known.revision !== stored.revision);
}

/** What is left out for room: backends that were removed again, which the file does not have either. Oldest first. */
export function expendable({ entries }: ChangeDocument): readonly Entry[] {
  return [...entries.values()]
    .filter(({ was, listing }) => was === null && listing.kind === "removed")
    .sort((one, other) => compareRevisions(one.revision, other.revision));
}
