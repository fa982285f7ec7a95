/** Makes all changes of the list of backends of a pool, for all callers. */

import type { BackendChange } from "../config/backend_change.ts";
import type { BackendSpec } from "../config/schema.ts";
import type { Backend, BackendSettings } from "./backend.ts";
import type { ChangeQueue, Difference, Lists, WantedBackends } from "./change_queue.ts";
import { Drain } from "./drain.ts";
import type { BackendPatch, ServerPool } from "./server_pool.ts";

/** What a `Membership` needs. */
export interface MembershipOptions {
  readonly pool: ServerPool;
  /** The queue of all pools. */
  readonly changes: ChangeQueue;
  /**
   * Called before a change, to write it into the configuration file if changes are to be kept. When it rejects, the
   * pool does not change.
   */
  readonly persist: (change: BackendChange) => Promise<void>;
}

/** A change of one backend. */
export interface Changed {
  readonly backend: Backend;
  readonly before: BackendSettings;
  /** `null`: nothing changed. */
  readonly after: BackendSettings | null;
}

/** How a backend is removed. */
export interface RemovalOptions<T> {
  /** How long the backend may drain; `undefined`: it is removed at once. */
  readonly drainMs: number | undefined;
  readonly reason: string;
  readonly describe: (backend: Backend) => T;
}

/** A removal. */
export interface Removed<T> {
  /** The settings before the drain. */
  readonly before: BackendSettings;
  /** What `describe` returned. */
  readonly description: T;
}

/** The configuration file could not be written. Nothing has changed. */
export class NotPersistedError extends Error {
  override readonly name = "NotPersistedError";
}

/** The pool does not have such a backend, or no longer has it. */
export class UnknownBackendError extends Error {
  override readonly name = "UnknownBackendError";
}

/** The pool has ended: the configuration no longer names it. */
export class PoolEndedError extends UnknownBackendError {
  constructor() {
    super("the pool has ended");
  }
}

/** Finds the backend to change. Called when it is the change's turn. Throws if there is none. */
export type FindBackend = (pool: ServerPool) => Backend;

/**
 * Makes every change of a pool's list: for the admin API, for reloads and for the watched file. The changes of all
 * pools run one after the other. A change is written to the file before it is made in the pool. A new owner of lists
 * calls `apply`.
 */
export class Membership {
  readonly #pool: ServerPool;
  readonly #persist: MembershipOptions["persist"];
  readonly #changes: ChangeQueue;
  readonly #drains = new Set<Drain>();
  #ended = false;

  constructor({ pool, changes, persist }: MembershipOptions) {
    this.#pool = pool;
    this.#changes = changes;
    this.#persist = persist;
  }

  /** Refuses all later changes, because the pool ends. */
  end(): void {
    this.#ended = true;
  }

  /** Replaces the pool's list with the one that its owner wants. */
  apply(wanted: Omit<WantedBackends, "pool">): Promise<Difference> {
    const list = { ...wanted, pool: this.#pool };
    return this.#run(async (lists) => {
      await lists.makeRoom([list]);
      return lists.replace(list);
    });
  }

  /**
   * Adds a backend. Resolves when all isolates that forward requests know it.
   *
   * @throws {DuplicateBackendError} when the pool has one with the same URL
   * @throws {PoolFullError} when there is no room
   * @throws {NotPersistedError} when the file can't be written
   */
  async add(spec: BackendSpec, reason: string): Promise<Backend> {
    const backend = await this.#run(async () => {
      this.#pool.mustTake(spec.url);
      await this.#save({ kind: "add", spec });
      return this.#pool.add(spec, reason);
    });
    await this.#changes.settled();
    return backend;
  }

  /**
   * Changes a backend completely or not at all. Setting its state to active calls off a drain.
   *
   * @throws {NotPersistedError} when the file can't be written. Also throws what `find` throws
   */
  change(find: FindBackend, patch: BackendPatch, reason: string): Promise<Changed> {
    return this.#run(async () => {
      const backend = find(this.#pool);
      const before = backend.settings;
      const { state, ...fields } = patch; // the operator's state is not in the file
      if (Object.keys(fields).length > 0) await this.#save({ kind: "change", url: backend.url, fields });
      if (state === "active") this.#callOffDrains(backend);
      const differs = this.#pool.update(backend, patch, reason);
      return { backend, before, after: differs ? backend.settings : null };
    });
  }

  /**
   * Removes a backend, at once or after a drain. Other changes do not wait for the drain. Resolves when no isolate
   * sends new requests to it. `describe` is called just before the removal, because another backend may get the slot
   * soon after.
   *
   * @throws {DrainCalledOffError} when the backend was set to active again before the drain had ended
   * @throws {UnknownBackendError} when it was removed otherwise in the meantime
   * @throws {NotPersistedError} when the file can't be written. The state is then as before. Also throws what `find`
   * throws
   */
  async remove<T>(find: FindBackend, removal: RemovalOptions<T>): Promise<Removed<T>> {
    const { drainMs, reason } = removal;
    const drain = drainMs === undefined ? undefined : await this.#beginDrain(find, drainMs, reason);
    try {
      await drain?.ended();
      const removed = await this.#run(() => this.#remove(drain?.backend ?? find(this.#pool), drain, removal));
      await this.#changes.settled();
      return removed;
    } catch (error) {
      drain?.undo(this.#pool, reason);
      throw error;
    } finally {
      if (drain !== undefined) this.#drains.delete(drain);
    }
  }

  /** Runs a change in its turn. */
  #run<T>(change: (lists: Lists) => T | Promise<T>): Promise<T> {
    return this.#changes.run((lists) => {
      if (this.#ended) throw new PoolEndedError();
      return change(lists);
    });
  }

  #beginDrain(find: FindBackend, limitMs: number, reason: string): Promise<Drain> {
    return this.#run(() => {
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
