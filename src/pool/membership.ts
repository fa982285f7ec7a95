/** Who is in a pool: the one writer of it, whoever asks for a change. */

import type { BackendChange } from "../config/backend_change.ts";
import type { BackendSpec } from "../config/schema.ts";
import type { Backend, BackendSettings } from "./backend.ts";
import { Drain } from "./drain.ts";
import type { BackendPatch, ServerPool } from "./server_pool.ts";

/** What a `Membership` works with. */
export interface MembershipOptions {
  readonly pool: ServerPool;
  /**
   * Told what is about to change, for the configuration file where changes are to last. When it rejects, the pool stays
   * as it was.
   */
  readonly persist: (change: BackendChange) => Promise<void>;
  /** Settles when all that forward go by what the pool holds. */
  readonly settled: () => Promise<void>;
}

/** A list that a pool is to have, from whoever owns it: the configuration file, say. */
export interface WantedBackends {
  readonly specs: readonly BackendSpec[];
  /** Whether new backends count as up before a check has passed. */
  readonly up: boolean;
  readonly reason: string;
  /** The files of authorities that hold something else than when the backends in the pool were made. */
  readonly newAuthorities?: ReadonlySet<string>;
}

/** What a new list changed; URLs. */
export interface Difference {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
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
 * Makes every change of a pool's list, one after the other: what the admin API asks for, reloads, the watched file. So a
 * change sees all that were answered before it, and is written to the file before it is made in the pool. Another
 * owner of a list joins by calling `apply`.
 */
export class Membership {
  readonly #pool: ServerPool;
  readonly #persist: MembershipOptions["persist"];
  readonly #settled: MembershipOptions["settled"];
  readonly #drains = new Set<Drain>();
  #last: Promise<unknown> = Promise.resolve();

  constructor({ pool, persist, settled }: MembershipOptions) {
    this.#pool = pool;
    this.#persist = persist;
    this.#settled = settled;
  }

  /** Makes the pool's list what its owner says. */
  apply(wanted: WantedBackends): Promise<Difference> {
    return this.inTurn(async (turn) => {
      await turn.makeRoom(wanted);
      return turn.replace(wanted);
    });
  }

  /** Runs a change when all before it are done; those asked for later wait for it. */
  inTurn<T>(change: (turn: Turn) => T | Promise<T>): Promise<T> {
    const result = this.#last.then(() => change(new Turn(this.#pool, this.#settled)));
    this.#last = result.catch(() => {}); // whoever asked for it is told
    return result;
  }

  /** Settles when the changes asked for by now are done. */
  async idle(): Promise<void> {
    await this.#last;
  }

  /**
   * Adds a backend. Resolves when all that forward know it.
   *
   * @throws {DuplicateBackendError} when one with the same URL is there
   * @throws {PoolFullError} when there is no room
   * @throws {NotPersistedError} when the file can't be written
   */
  async add(spec: BackendSpec, reason: string): Promise<Backend> {
    const backend = await this.inTurn(async () => {
      this.#pool.mustTake(spec.url);
      await this.#save({ kind: "add", spec });
      return this.#pool.add(spec, reason);
    });
    await this.#settled();
    return backend;
  }

  /**
   * Changes a backend, all or nothing. A drain is called off by making its backend active again.
   *
   * @throws {NotPersistedError} when the file can't be written; what `find` throws
   */
  change(find: FindBackend, patch: BackendPatch, reason: string): Promise<Changed> {
    return this.inTurn(async () => {
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
      const removed = await this.inTurn(() => this.#remove(drain?.backend ?? find(this.#pool), drain, removal));
      await this.#settled();
      return removed;
    } catch (error) {
      drain?.undo(this.#pool, reason);
      throw error;
    } finally {
      if (drain !== undefined) this.#drains.delete(drain);
    }
  }

  #beginDrain(find: FindBackend, limitMs: number, reason: string): Promise<Drain> {
    return this.inTurn(() => {
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

/** What a change may do while it is its turn. */
export class Turn {
  readonly #pool: ServerPool;
  readonly #settled: () => Promise<void>;

  constructor(pool: ServerPool, settled: () => Promise<void>) {
    this.#pool = pool;
    this.#settled = settled;
  }

  /**
   * Sees to it that a list can replace the present one as a whole. Places of backends removed before come free when
   * every isolate has heard of that, which is waited for.
   *
   * @throws {PoolFullError} when there is no room; nothing has changed
   */
  async makeRoom(wanted: WantedBackends): Promise<void> {
    try {
      this.#mustHaveRoom(wanted);
    } catch {
      await this.#settled();
      this.#mustHaveRoom(wanted);
    }
  }

  /**
   * Makes the pool's list what its owner says, in one step; there has to be room. Backends that stay keep their
   * counters, health, connections and the operator's `state`; those that only the admin API knew go.
   */
  replace(wanted: WantedBackends): Difference {
    const { specs, up, reason } = wanted;
    const { gone, fresh, kept } = this.#compare(wanted);
    const urls = new Set(specs.map(({ url }) => url));
    const before = new Set(gone.map(({ url }) => url));
    this.#pool.exchange({ removed: gone, added: fresh }, reason, up);
    const changed = fresh.filter(({ url }) => before.has(url)).map(({ url }) => url);
    for (const [backend, { url, weight, maxConnections, backup }] of kept) {
      if (this.#pool.update(backend, { weight, maxConnections, backup }, reason)) changed.push(url);
    }
    return {
      added: fresh.filter(({ url }) => !before.has(url)).map(({ url }) => url),
      removed: gone.filter(({ url }) => !urls.has(url)).map(({ url }) => url),
      changed,
    };
  }

  #mustHaveRoom(wanted: WantedBackends): void {
    const { gone, fresh } = this.#compare(wanted);
    this.#pool.mustHaveRoom({ removed: gone.length, added: fresh.length });
  }

  #compare({ specs, newAuthorities = new Set() }: WantedBackends) {
    const wanted = new Map(specs.map((spec) => [spec.url, spec]));
    const present = new Map(this.#pool.backends.map((backend) => [backend.url, backend]));
    const gone: Backend[] = [];
    const kept: (readonly [Backend, BackendSpec])[] = [];
    for (const backend of this.#pool.backends) {
      const spec = wanted.get(backend.url);
      if (spec !== undefined && keeps(backend, spec, newAuthorities)) kept.push([backend, spec]);
      else {
        gone.push(backend);
        present.delete(backend.url);
      }
    }
    return { gone, kept, fresh: specs.filter(({ url }) => !present.has(url)) };
  }
}

/** How connections to a backend are encrypted is part of what it is: with other settings it is another backend. */
function keeps({ tls }: Backend, spec: BackendSpec, newAuthorities: ReadonlySet<string>): boolean {
  if (JSON.stringify(spec.tls) !== JSON.stringify(tls)) return false;
  return tls.ca === null || !newAuthorities.has(tls.ca);
}
