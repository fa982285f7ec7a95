/** How changes of a pool are kept before they are made: in the configuration file, or in the store of the replicas. */

import type { BackendChange } from "../config/backend_change.ts";
import type { BackendSettings } from "./backend.ts";

/** How a change is made. */
export interface ChangeOptions {
  /** For this replica alone while the store of the replicas is away. Default: for all, or not at all. */
  readonly local?: boolean;
}

/** Keeps a change. When it rejects, the change is not made. */
export type Persist = (change: BackendChange, options: ChangeOptions) => Promise<void>;

/** The configuration file could not be written. Nothing has changed. */
export class NotPersistedError extends Error {
  override readonly name = "NotPersistedError";

  constructor(cause: unknown) {
    super("the configuration file could not be written; nothing has changed", { cause });
  }
}

/** The store of the replicas is away. Nothing has changed. */
export class NotSharedError extends Error {
  override readonly name = "NotSharedError";
}

/** Another replica has changed the same backend first. Nothing has changed here. */
export class ChangedElsewhereError extends Error {
  override readonly name = "ChangedElsewhereError";
  /** What the backend has become; `null`: it was removed. */
  readonly present: PresentBackend | null;

  constructor(message: string, present: PresentBackend | null) {
    super(message);
    this.present = present;
  }
}

/** The settings of a backend. */
export interface PresentBackend extends BackendSettings {
  readonly url: string;
}
