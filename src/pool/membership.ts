/** Who is in a pool: the one writer of it, whoever asks for a change. */

import type { BackendChange } from "../config/backend_change.ts";
import type { BackendSpec } from "../config/schema.ts";
import type { Backend, BackendSettings } from "./backend.ts";
import type { ChangeQueue, Difference, WantedBackends } from "./change_queue.ts";
import { Drain } from "./drain.ts";
import type { BackendPatch, ServerPool } from "./server_pool.ts";

/** What a `Membership` works with. */
export interface MembershipOptions {
  readonly pool: ServerPool;
  /** That of all pools. */
  readonly changes: ChangeQueue;
  /**
   * Told what is about to change, for the configuration file where changes are to last. When it rejects, the pool stays
   * as it was.
   */
  readonly persist: (change: BackendChange) => Promise<void>;
}

/** A change of one backend. */
export interface Changed {
  readonly backend: Backend;
  readonly before: BackendSettings;
  /** `null`: nothing differed. */
  readonly after: BackendSettings | null;
}

/** How a backend is removed. */
export interface RemovalOptions<T> {
  /** How long requests may take to end first; `undefined`: it goes at once. */
  readonly drainMs: number | undefined;
  readonly reason: string;
  readonly describe: (backend: Backend) => T;
}

/** A removal. */
export interface Removed<T> {
  /** As it was before it drained. */
  readonly before: BackendSettings;
  /** What `describe` said. */
  readonly description: T;
}

/** The configuration file could not be written, so nothing has changed. */
export class NotPersistedError extends Error {
  override readonly name = "NotPersistedError";
}

/** The pool has no such backend, or no longer. */
export class UnknownBackendError extends Error {
  override readonly name = "UnknownBackendError";
}

/** Finds the backend that a change is about, when it is the change's turn. Throws where there is none. */
export type FindBackend = (pool: ServerPool) => Backend;

/**
 * Makes every change of a pool's list, one after the other with those of other pools: what the admin API asks for,
 * reloads, the watched file. A change is written to the file before it is made in the pool. Another owner of a list joins
 * by calling `apply`.
 */
export class Membership {
  readonly #pool: ServerPool;
  readonly #persist: MembershipOptions["persist"];
  readonly #changes: ChangeQueue;
  readonly #drains = new Set<Drain>();

  constructor({ pool, changes, persist }: MembershipOptions) {
    this.#pool = pool;
    this.#changes = changes;
    this.#persist = persist;
  }

  /** Makes the pool's list what its owner says. */
  apply(wanted: Omit<WantedBackends, "pool">): Promise<Difference> {
    const list = { ...wanted, pool: this.#pool };
    return this.#changes.run(async (lists) => {
      await lists.makeRoom([list]);
      return lists.replace(list);
    });
  }

  /**
   * Adds a backend. Resolves when all that forward know it.
   *
   * @throws {DuplicateBackendError} when one with the same URL is there
   * @throws {PoolFullError} when there is no room
   * @throws {NotPersistedError} when the file can't be written
   */
  async add(spec: BackendSpec, reason: string): Promise<Backend> {
    const backend = await this.#changes.run(async () => {
      this.#pool.mustTake(spec.url);
      await this.#save({ kind: "add", spec });
      return this.#pool.add(spec, reason);
    });
    await this.#changes.settled();
    return backend;
  }

  /**
   * Changes a backend, all or nothing. A drain is called off by making its backend active again.
   *
   * @throws {NotPersistedError} when the file can't be written; what `find` throws
   */
  change(find: FindBackend, patch: BackendPatch, reason: string): Promise<Changed> {
    return this.#changes.run(async () => {
      const backend = find(this.#pool);
      const before = backend.settings;
      const { state, ...fields } = patch; // the operator's state is not the file's affair
      if (Object.keys(fields).length > 0) await this.#save({ kind: "change", url: backend.url, fields });
      if (state === "active") this.#callOffDrains(backend);
      const differs = this.#pool.update(backend, patch, reason);
      return { backend, before, after: differs ? backend.settings : null };
    });
  }

  /**
   * Removes a backend, at once or when a drain has ended; other changes do not wait for that. Resolves when nobody
   * forwards to it any more. `describe` is asked just before it goes: its place in shared memory may soon be another's.
   *
   * @throws {DrainCalledOffError} when the backend was made active again before the drain had ended
   * @throws {UnknownBackendError} when somebody else removed it meanwhile
   * @throws {NotPersistedError} when the file can't be written; its state is then as before; what `find` throws
   */
  async remove<T>(find: FindBackend, removal: RemovalOptions<T>): Promise<Removed<T>> {
    const { drainMs, reason } = removal;
    const drain = drainMs === undefined ? undefined : await this.#beginDrain(find, drainMs, reason);
    try {
      await drain?.ended();
      const removed = await this.#changes.run(() => this.#remove(drain?.backend ?? find(this.#pool), drain, removal));
      await this.#changes.settled();
      return removed;
    } catch (error) {
      drain?.undo(this.#pool, reason);
      throw error;
    } finally {
      if (drain !== undefined) this.#drains.delete(drain);
    }
  }

  #beginDrain(find: FindBackend, limitMs: number, reason: string): Promise<Drain> {
    return this.#changes.run(() => {
      const drain = new Drain(this.#pool, find(this.#pool), { limitMs, reason });
      this.#drains.add(drain);
      return drain;
    });
  }

  async #remove<T>(
    backend: Backend,
    drain: Drain | undefined,
    { reason, describe }: RemovalOptions<T>,
  ): Promise<Removed<T>> {
    drain?.mustBeOn();
    if (!backend.inPool) throw new UnknownBackendError("the pool has no such backend");
    await this.#save({ kind: "remove", url: backend.url });
    const removed = { before: drain?.before ?? backend.settings, description: describe(backend) };
    this.#pool.remove(backend, reason, { drained: drain !== undefined });
    return removed;
  }

  #callOffDrains(backend: Backend): void {
    for (const drain of this.#drains) {
      if (drain.backend === backend) drain.callOff();
    }
  }

  async #save(change: BackendChange): Promise<void> {
    try {
      await this.#persist(change);
    } catch (error) {
      const what = "the configuration file could not be written; nothing has changed";
      throw new NotPersistedError(what, { cause: error });
    }
  }
}
