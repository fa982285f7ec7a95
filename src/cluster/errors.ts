/** How a change for all replicas can fail. Nothing has changed then. */

import type { EntryView } from "./views.ts";

/** Another replica changed the same backend first. `present` is its change; `null`: its change was dropped again. */
export class ClusterConflictError extends Error {
  override readonly name = "ClusterConflictError";
  readonly present: EntryView | null;

  constructor(message: string, present: EntryView | null) {
    super(message);
    this.present = present;
  }
}

/** The store did not take the change: it can't be reached, did not answer in time, or refused. */
export class StoreAwayError extends Error {
  override readonly name = "StoreAwayError";
}

/** The store has as many changes as it may have. */
export class ClusterFullError extends Error {
  override readonly name = "ClusterFullError";
}

/** The store holds something that no roundhouse has written. Nothing of it is used. */
export class StoreContentError extends Error {
  override readonly name = "StoreContentError";
}
