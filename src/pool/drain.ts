/** A backend that gets no new traffic, on its way out of the pool. */

import type { Backend, BackendSettings } from "./backend.ts";
import type { ServerPool } from "./server_pool.ts";

/** The backend of a drain was made active again before its last request had ended. */
export class DrainCalledOffError extends Error {
  override readonly name = "DrainCalledOffError";
}

/** How often a drain looks whether the last request has ended. */
const LOOK_MS = 10;

/** One drain, from its beginning on. */
export class Drain {
  readonly backend: Backend;
  readonly #deadline: number;
  /** The backend as it was. */
  readonly before: BackendSettings;
  #calledOff = false;

  /** Begins: an active backend drains. A disabled one stays as it is, which is even less traffic. */
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

  /** Settles when no request is left, its time is over, it was called off, or somebody else removed the backend. */
  async ended(): Promise<void> {
    const { backend } = this;
    while (
      backend.inPool && !this.#calledOff && backend.currentConnections > 0 && performance.now() < this.#deadline
    ) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }

  /** An operator wants the backend to serve. */
  callOff(): void {
    this.#calledOff = true;
  }

  /** @throws {DrainCalledOffError} when it was called off */
  mustBeOn(): void {
    if (!this.#calledOff) return;
    throw new DrainCalledOffError(`${this.backend.url} was set to active again, so it is not removed`);
  }

  /** The removal has failed: gives the backend the state that it had before, unless somebody changed it since. */
  undo(pool: ServerPool, reason: string): void {
    const { backend, before } = this;
    if (this.#calledOff) return;
    if (before.state === "active" && backend.inPool && backend.state === "draining") {
      pool.update(backend, { state: "active" }, reason);
    }
  }
}
