/**
 * The version of a change, as text: a counter and a random mark, `12-9f3a0c5d7e11`. Each change of the document counts
 * one up. The mark tells apart changes that two replicas made on the same version, which can happen when the store has
 * lost its last changes.
 */

const PATTERN = /^(?:0|[1-9]\d{0,14})-[0-9a-f]{12}$/;

/** The version of a document in which nothing was ever changed. */
export const NO_REVISION = "0-000000000000";

/** A random text of twelve hexadecimal digits. */
export function newMark(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function revisionOf(counter: number, mark: string): string {
  return `${counter}-${mark}`;
}

export function isRevision(text: string): boolean {
  return PATTERN.test(text);
}

export function counterOf(revision: string): number {
  return Number(revision.slice(0, revision.indexOf("-")));
}

/** Below 0: `one` is older. Each two different revisions have an order, so that all replicas prefer the same one. */
export function compareRevisions(one: string, other: string): number {
  const difference = counterOf(one) - counterOf(other);
  if (difference !== 0) return difference;
  return one === other ? 0 : one < other ? -1 : 1;
}
