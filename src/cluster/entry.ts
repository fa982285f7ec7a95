/** One change of a backend, as the store holds it. */

import * as z from "zod";
import { type DeepReadonly, duration } from "../config/fields.ts";
import { backendFields, type BackendSpec, backendSpecSchema } from "../config/schema.ts";
import { BACKEND_STATES, type BackendState, type ChangedFields } from "../config/backend_change.ts";
import { isRevision } from "./revision.ts";
import { StoreContentError } from "./errors.ts";
import type { EntryView } from "./views.ts";

/** What a change made of a backend. */
export type Listing =
  /** The pool has it with this specification. */
  | { readonly kind: "listed"; readonly spec: BackendSpec }
  /** These fields differ from what the list says. */
  | { readonly kind: "changed"; readonly fields: ChangedFields }
  /** The pool does not have it. It drained for that time. */
  | { readonly kind: "removed"; readonly drainMs: number | null };

/** A change of a backend that is not in the store yet. */
export interface Draft {
  readonly pool: string;
  readonly url: string;
  /** What the file said of the backend when the change was made (`fingerprint`); `null`: nothing. */
  readonly was: string | null;
  readonly listing: Listing;
  /** The operator's state, if it was set. */
  readonly state: BackendState | null;
}

export interface Entry extends Draft {
  readonly revision: string;
}

/** The most characters of an entry's text. */
export const MAX_ENTRY_LENGTH = 8192;

const SEPARATOR = "\n"; // neither names of pools nor URLs have it

/** The name of an entry in the document. */
export function entryKey({ pool, url }: Pick<Draft, "pool" | "url">): string {
  return `${pool}${SEPARATOR}${url}`;
}

/** Whether a field of the document is an entry. Others say something of the document as a whole. */
export function isEntryKey(key: string): boolean {
  return key.includes(SEPARATOR);
}

const listing = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("listed"), spec: backendSpecSchema }),
  z.strictObject({
    kind: z.literal("changed"),
    fields: z.strictObject({
      weight: backendFields.weight.exactOptional(),
      maxConnections: backendFields.maxConnections.exactOptional(),
      backup: backendFields.backup.exactOptional(),
    }),
  }),
  z.strictObject({ kind: z.literal("removed"), drainMs: duration(0).nullable() }),
]);

const content = z.strictObject({
  was: z.string().nullable(),
  listing,
  state: z.enum(BACKEND_STATES).nullable(),
});

/** The text of an entry after its revision. */
export function draftText({ was, listing, state }: Draft): string {
  return JSON.stringify({ was, listing, state });
}

/** The text of an entry, as the store holds it. */
export function entryText(entry: Entry): string {
  return `${entry.revision} ${draftText(entry)}`;
}

/** @throws {StoreContentError} for what no roundhouse has written */
export function parseEntry(key: string, text: string): Entry {
  const [pool = "", url = ""] = key.split(SEPARATOR);
  const space = text.indexOf(" ");
  const revision = text.slice(0, space);
  if (!isRevision(revision) || text.length > MAX_ENTRY_LENGTH) throw unreadable(pool, url, "want a version first");
  let value: unknown;
  try {
    value = JSON.parse(text.slice(space + 1));
  } catch {
    throw unreadable(pool, url, "want JSON after the version");
  }
  const read = content.safeParse(value);
  if (!read.success || !backendFields.url.safeParse(url).success) {
    const [issue] = read.error?.issues ?? [];
    throw unreadable(
      pool,
      url,
      issue === undefined ? "want a backend's URL" : `${issue.path.join(".")}: ${issue.message}`,
    );
  }
  const { listing } = read.data;
  if (listing.kind === "listed" && listing.spec.url !== url) throw unreadable(pool, url, "want the same URL inside");
  return { pool, url, revision, ...read.data };
}

function unreadable(pool: string, url: string, why: string): StoreContentError {
  return new StoreContentError(`the entry of ${JSON.stringify(url)} in pool ${JSON.stringify(pool)}: ${why}`);
}

/** An entry as the admin API shows it. */
export function entryView({ pool, url, revision, listing, state }: Entry): EntryView {
  const fields = listing.kind === "listed" ? listing.spec : listing.kind === "changed" ? listing.fields : null;
  return { pool, backend: url, version: Number.parseInt(revision), kind: listing.kind, fields, state };
}

/**
 * What the file says of a backend, as a text that stays the same as long as the file says the same. Settings that are
 * off or `null` are left out, so that a later version of roundhouse, which knows more settings, makes the same text.
 */
export function fingerprint(spec: BackendSpec): string {
  const { url: _, ...said } = spec;
  return JSON.stringify(sorted(said));
}

function sorted(value: DeepReadonly<unknown>): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const said = Object.entries(value)
    .map(([key, inner]) => [key, sorted(inner)] as const)
    .filter(([, inner]) => inner !== null && inner !== false && JSON.stringify(inner) !== "{}");
  return Object.fromEntries(said.sort(([one], [other]) => one < other ? -1 : 1));
}
