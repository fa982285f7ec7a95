/** A change of one backend in a list: what an operator asked for, apart from the list that it is made in. */

import { ConfigError } from "../errors.ts";
import { MAX_BACKENDS } from "./backend_limit.ts";
import type { BackendSpec } from "./schema.ts";

/** What an operator may change about a backend that is there; what is absent stays. */
export type ChangedFields = Partial<Pick<BackendSpec, "weight" | "maxConnections" | "backup">>;

export type BackendChange =
  | { readonly kind: "add"; readonly spec: BackendSpec }
  | { readonly kind: "change"; readonly url: string; readonly fields: ChangedFields }
  | { readonly kind: "remove"; readonly url: string };

/**
 * The list after a change. The list may differ from the one that the change was asked for: all else in it stays, in its
 * order. A backend that is to be added and is there already gets the fields of the one that was added. One that is to
 * change and is not there stays away.
 *
 * @throws {ConfigError} when there is no room for another backend
 */
export function afterChange(list: readonly BackendSpec[], change: BackendChange): readonly BackendSpec[] {
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
