/** Drains a backend before its removal: it gets no new traffic while its requests end. */

import type { Backend, BackendSettings } from "./backend.ts";
import type { ServerPool } from "./server_pool.ts";

/** The backend was set to active again before its drain had ended. */
export class DrainCalledOffError extends Error {
  override readonly name = "DrainCalledOffError";
}

/** How often a drain checks whether the last request has ended. */
const LOOK_MS = 10;

/** One drain of one backend. */
export class Drain {
  readonly backend: Backend;
  readonly #deadline: number;
  /** The backend's settings before the drain. */
  readonly before: BackendSettings;
  #calledOff = false;

  /**
   * Begins the drain: sets an active backend to draining. A disabled one stays disabled, because it gets even less
   * traffic.
   */
  constructor(
    pool: ServerPool,
    backend: Backend,
    { limitMs, reason }: { readonly limitMs: number; readonly reason: string },
  ) {
    this.backend = backend;
    this.#deadline = performance.now() + limitMs;
    this.before = backend.settings;
    if (backend.state === "active") pool.update(backend, { state: "draining" }, reason);
  }

  /**
   * Settles when no request is left, the time is over, the drain was called off, or the backend was removed otherwise.
   */
  async ended(): Promise<void> {
    const { backend } = this;
    while (
      backend.inPool && !this.#calledOff && backend.currentConnections > 0 && performance.now() < this.#deadline
    ) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }

  /** Calls the drain off, because an operator wants the backend to serve. */
  callOff(): void {
    this.#calledOff = true;
  }

  /** @throws {DrainCalledOffError} when the drain was called off */
  mustBeOn(): void {
    if (!this.#calledOff) return;
    throw new DrainCalledOffError(`${this.backend.url} was set to active again, so it is not removed`);
  }

  /**
   * Restores the state from before the drain, because the removal has failed. Does nothing if the state was changed
   * since.
   */
  undo(pool: ServerPool, reason: string): void {
    const { backend, before } = this;
    if (this.#calledOff) return;
    if (before.state === "active" && backend.inPool && backend.state === "draining") {
      pool.update(backend, { state: "active" }, reason);
    }
  }
}
