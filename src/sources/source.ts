/** Where the backends of a pool come from while roundhouse runs. */

import type { BackendSpec } from "../config/schema.ts";

/** One backend that a source has found. */
export interface FoundBackend {
  readonly spec: BackendSpec;
  /** Whether it is about to end. It then drains, or serves while the source has no other backend. Default: false. */
  readonly leaving?: boolean;
}

/** Told what a source finds. */
export interface SourceReport {
  /**
   * The complete list, each time. The same list again says that the source is still there. An empty list is an answer,
   * too: there are no backends.
   */
  found(backends: readonly FoundBackend[]): void;
  /** There was no answer, or one that can't be believed. One line that says why. The last list stays. */
  failed(error: string): void;
}

/** Looks for backends. It does not know what is done with them. */
export interface BackendSource {
  /**
   * Looks until `stop` fires. After a failure it looks again by itself. Settles when no timer, socket or file of it is
   * left. Never rejects.
   */
  run(report: SourceReport, stop: AbortSignal): Promise<void>;
}

/** An answer that can't be believed. The message is one line with the place and what was wanted. */
export class SourceError extends Error {
  override readonly name = "SourceError";
}
