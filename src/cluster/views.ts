/** What others see of the cluster: the admin API, metrics and the dashboard. */

import type { BackendState, ChangedFields } from "../config/backend_change.ts";
import type { BackendSpec } from "../config/schema.ts";

/** What a replica thinks of each backend, by pool and by URL. */
export type HealthView = Readonly<Record<string, Readonly<Record<string, "up" | "down">>>>;

/** One change that the store holds. */
export interface EntryView {
  readonly pool: string;
  readonly backend: string;
  /** The version of the document that the change made. */
  readonly version: number;
  /**
   * `listed`: the pool has the backend with this specification. `changed`: these fields differ from what the file or
   * the pool's source says. `removed`: the pool does not have the backend.
   */
  readonly kind: "listed" | "changed" | "removed";
  readonly fields: BackendSpec | ChangedFields | null;
  /** The operator's state, if it was set. */
  readonly state: BackendState | null;
}

/** One replica, as it said itself. */
export interface ReplicaStatus {
  /** Chosen at random at its start. */
  readonly id: string;
  /** Whether it is this one. */
  readonly self: boolean;
  /** Its version of roundhouse. */
  readonly version: string;
  /** Where its admin API listens, `HOST:PORT`. */
  readonly admin: string;
  /** The version of the document that it had. */
  readonly changes: number;
  /** Milliseconds since its last word arrived at the store, by the store's clock. */
  readonly ageMs: number;
  /** `null`: it is not known (yet). */
  readonly health: HealthView | null;
}

/** The cluster as this replica sees it. */
export interface ClusterStatus {
  /** The id of this replica. */
  readonly id: string;
  /** Whether the store answers and takes changes. */
  readonly up: boolean;
  /** When it last did; `null`: never since the start. */
  readonly lastSuccess: Date | null;
  /** Why it does not; `null` while it does. */
  readonly error: string | null;
  /** The version of the document. 0: nothing was ever changed. */
  readonly version: number;
  /** The changes that the document holds, the oldest first. */
  readonly entries: readonly EntryView[];
  /** The changes of this replica alone, which last until the store is back. */
  readonly local: readonly EntryView[];
  /** By id. Without the store: those last heard of. */
  readonly replicas: readonly ReplicaStatus[];
}
