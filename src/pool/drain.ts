/** Drains a backend before its removal: it gets no new traffic while its requests end. */

import type { Backend, BackendSettings } from "./backend.ts";
import type { BackendPatch, ServerPool } from "./server_pool.ts";

/** The backend was to serve again before its drain had ended. */
export class DrainCalledOffError extends Error {
  override readonly name = "DrainCalledOffError";
}

/** How often a drain checks whether the last request has ended. */
const LOOK_MS = 10;

/** How a backend is drained. */
export interface DrainOptions {
  readonly limitMs: number;
  /** Whether the list that is kept no longer has this backend. A later list may take it back. */
  readonly byList: boolean;
}

/** One drain of one backend. Its creator applies `patch` to the backend. */
export class Drain {
  readonly backend: Backend;
  readonly byList: boolean;
  readonly #deadline: number;
  /** The backend's settings before the drain. */
  readonly before: BackendSettings;
  #calledOffBecause: string | undefined;

  constructor(backend: Backend, { limitMs, byList }: DrainOptions) {
    this.backend = backend;
    this.byList = byList;
    this.#deadline = performance.now() + limitMs;
    this.before = backend.settings;
  }

  /** The change that begins the drain. A disabled backend stays disabled, because it gets even less traffic. */
  get patch(): BackendPatch {
    return this.before.state === "active" ? { state: "draining" } : {};
  }

  /** Whether no request is left, the time is over, the drain was called off, or the backend was removed otherwise. */
  get isOver(): boolean {
    const { backend } = this;
    return !backend.inPool || this.#calledOffBecause !== undefined || backend.currentConnections === 0 ||
      performance.now() >= this.#deadline;
  }

  /** Settles when it is over. */
  async ended(): Promise<void> {
    while (!this.isOver) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }

  /** Calls the drain off, because the backend is to serve. `why`: what happened to it. */
  callOff(why: string): void {
    this.#calledOffBecause ??= why;
  }

  /** Whether it was not called off. */
  get isOn(): boolean {
    return this.#calledOffBecause === undefined;
  }

  /** @throws {DrainCalledOffError} when the drain was called off */
  mustBeOn(): void {
    if (this.#calledOffBecause === undefined) return;
    throw new DrainCalledOffError(`${this.backend.url} ${this.#calledOffBecause}, so it is not removed`);
  }

  /** The change that restores the state from before the drain. Empty if the state was changed since. */
  get restoring(): BackendPatch {
    const { backend, before } = this;
    const isOurs = this.#calledOffBecause === undefined && backend.inPool && backend.state === "draining";
    return isOurs && before.state === "active" ? { state: "active" } : {};
  }

  /** Restores the state from before the drain, because the removal has failed. */
  undo(pool: ServerPool, reason: string): void {
    pool.update(this.backend, this.restoring, reason);
  }
}
