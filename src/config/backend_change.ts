/** Changes of backends and splits, as an operator asked for them. They can be made in any list of backends. */

import { ConfigError } from "../errors.ts";
import { MAX_BACKENDS } from "./backend_limit.ts";
import type { BackendSpec } from "./schema.ts";

/** What an operator may change about a backend of the list. Absent fields stay as they are. */
export type ChangedFields = Partial<Pick<BackendSpec, "weight" | "maxConnections" | "backup">>;

/** The states that an operator can set, in the order of their numbers in shared memory. */
export const BACKEND_STATES = ["active", "draining", "disabled"] as const;
export type BackendState = (typeof BACKEND_STATES)[number];

/** A change of a pool's list. The file contains neither states nor drains. */
export type BackendChange =
  | { readonly kind: "add"; readonly spec: BackendSpec }
  | {
    readonly kind: "change";
    readonly url: string;
    readonly fields: ChangedFields;
    /** Absent: it stays as it is. */
    readonly state?: BackendState;
  }
  | {
    readonly kind: "remove";
    readonly url: string;
    /** How long it drains from now on. Absent: it is removed at once, or has drained. */
    readonly drainMs?: number;
  }
  | {
    /** The whole list becomes this one. */
    readonly kind: "replace";
    readonly specs: readonly BackendSpec[];
    /** How long those that leave drain from now on. */
    readonly drainMs: number;
  };

/** A change that is kept in the configuration file. */
export type FileChange = PoolChange | SplitChange;

/** A change of the list of one pool. */
export interface PoolChange {
  readonly kind: "backends";
  readonly pool: string;
  readonly change: BackendChange;
}

/** Whether the file can contain a change. It does not contain the operator's state. */
export function fitsFile(change: FileChange): boolean {
  if (change.kind === "split" || change.change.kind !== "change") return true;
  return Object.keys(change.change.fields).length > 0;
}

/** Other weights for the sides of a split. */
export interface SplitChange {
  readonly kind: "split";
  /** The key of the route, as the file writes it. */
  readonly route: string;
  /** The position of the entry, from 0. */
  readonly entry: number;
  /** By the names of pools. Sides that are not named keep their weight. */
  readonly weights: Readonly<Record<string, number>>;
}

/**
 * Returns the list after a change. The list may differ from the one that the operator saw: everything else in it stays,
 * in its order. If a backend that is to be added is in the list already, it gets the new fields. If a backend that is
 * to be changed is not in the list, nothing happens.
 *
 * @throws {ConfigError} when there is no room for another backend
 */
export function afterChange(list: readonly BackendSpec[], change: BackendChange): readonly BackendSpec[] {
  if (change.kind === "replace") return change.specs;
  if (change.kind === "remove") return list.filter(({ url }) => url !== change.url);
  if (change.kind === "change") return withFields(list, change.url, change.fields);
  const { url, weight, maxConnections, backup } = change.spec;
  if (list.some((spec) => spec.url === url)) return withFields(list, url, { weight, maxConnections, backup });
  if (list.length >= MAX_BACKENDS) throw new ConfigError([`backends: at most ${MAX_BACKENDS} backends`]);
  return [...list, change.spec];
}

function withFields(list: readonly BackendSpec[], url: string, fields: ChangedFields): readonly BackendSpec[] {
  return list.map((spec) => spec.url === url ? { ...spec, ...fields } : spec);
}
