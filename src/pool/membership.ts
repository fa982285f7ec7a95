/** Makes all changes of the list of backends of a pool, for all callers. */

import type { BackendSpec } from "../config/schema.ts";
import type { Backend, BackendSettings } from "./backend.ts";
import type { ChangeQueue, Difference, Lists, WantedBackends } from "./change_queue.ts";
import { type Deployed, Deployment, type DeploymentOptions, type Trial } from "./deployment.ts";
import { Drain } from "./drain.ts";
import { Following, type FollowOptions, FollowsSourceError } from "./following.ts";
import type { ChangeOptions, Persist } from "./keeping.ts";
import type { BackendPatch, ServerPool } from "./server_pool.ts";
import { SharedList } from "./shared_list.ts";

/** What a `Membership` needs. */
export interface MembershipOptions {
  readonly pool: ServerPool;
  /** The queue of all pools. */
  readonly changes: ChangeQueue;
  /** Called before a change. When it rejects, the pool does not change. */
  readonly persist: Persist;
  /**
   * Whether other replicas share the list. A removal is kept before its drain then, so that they drain at the same
   * time. Default: it is kept after it.
   */
  readonly shared?: boolean;
  /** Checks the new backends of a deployment. */
  readonly trial: Trial;
}

/** A change of one backend. */
export interface Changed {
  readonly backend: Backend;
  readonly before: BackendSettings;
  /** `null`: nothing changed. */
  readonly after: BackendSettings | null;
}

/** How a backend is removed. */
export interface RemovalOptions<T> extends ChangeOptions {
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

/** The pool does not have such a backend, or no longer has it. */
export class UnknownBackendError extends Error {
  override readonly name = "UnknownBackendError";
}

/** The pool has ended: the configuration no longer names it. */
export class PoolEndedError extends UnknownBackendError {
  constructor() {
    super("the configuration no longer has the pool");
  }
}

/** Finds the backend to change. Called when it is the change's turn. Throws if there is none. */
export type FindBackend = (pool: ServerPool) => Backend;

/**
 * Makes every change of a pool's list: for the admin API, for reloads and for the watched file. The changes of all
 * pools run one after the other. A change is kept before it is made in the pool: in the file, or in the store that the
 * replicas share. Each change rejects with what `persist` rejects with; nothing has changed then. A new owner of lists
 * calls `apply`.
 */
export class Membership {
  /** Takes over what other replicas have changed. */
  readonly sharedList: SharedList;
  readonly #pool: ServerPool;
  readonly #persist: MembershipOptions["persist"];
  readonly #shared: boolean;
  readonly #changes: ChangeQueue;
  readonly #trial: Trial;
  readonly #drains = new Set<Drain>();
  readonly #following: Following;
  /** Where the list comes from, if it does not come from the file and the admin API. */
  #source: string | undefined;
  #ended = false;
  /** The one whose list is not in force yet. */
  #deployment: Deployment | undefined;
  #trials: Promise<unknown> = Promise.resolve();

  constructor({ pool, changes, persist, trial, shared = false }: MembershipOptions) {
    this.#pool = pool;
    this.#changes = changes;
    this.#persist = persist;
    this.#shared = shared;
    this.sharedList = new SharedList({ pool, changes, drains: this.#drains });
    this.#trial = trial;
    this.#following = new Following(pool, changes);
  }

  /** From now on, the list comes from this source, or from the file and the admin API. Must run in its turn. */
  setSource(source: string | undefined): void {
    this.#source = source;
    if (source !== undefined) this.#deployment?.end("a reload has given the pool a source");
  }

  /** Makes the list what the source says. @throws {PoolFullError} when there is no room */
  follow(specs: readonly BackendSpec[], options: FollowOptions): Promise<void> {
    return this.#run((lists) => this.#following.follow(lists, specs, options));
  }

  /** Refuses all later changes, because the pool ends. */
  end(): void {
    this.#ended = true;
    this.#deployment?.end("the pool has ended");
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
   */
  async add(spec: BackendSpec, reason: string, options: ChangeOptions = {}): Promise<Backend> {
    const backend = await this.#run(async () => {
      this.#mustOwnList();
      this.#pool.mustTake(spec.url);
      await this.#persist({ kind: "add", spec }, options);
      return this.#pool.add(spec, reason);
    });
    await this.#changes.settled();
    return backend;
  }

  /**
   * Changes a backend completely or not at all. Setting its state to active calls off a drain. Also throws what `find`
   * throws.
   */
  change(find: FindBackend, patch: BackendPatch, reason: string, options: ChangeOptions = {}): Promise<Changed> {
    return this.#run(async () => {
      const backend = find(this.#pool);
      if (this.#source !== undefined && patch.state === "active" && this.#following.isLeaving(backend)) {
        throw new FollowsSourceError(`${this.#source} no longer has ${backend.url}`);
      }
      const before = backend.settings;
      const { state, ...fields } = patch;
      const drains = state === "active" ? this.#drainsOf(backend) : [];
      // The list that is kept no longer has such a backend.
      const isLeaving = this.#drainsOf(backend).some(({ byList }) => byList);
      if (!isLeaving && Object.keys(patch).length > 0) {
        const stateToo = state === undefined ? {} : { state };
        await this.#persist({ kind: "change", url: backend.url, fields, ...stateToo }, options);
      } else if (isLeaving && state === "active") {
        await this.#persist({ kind: "add", spec: { ...backend.spec, ...fields } }, options);
      }
      for (const drain of drains) drain.callOff("was set to active again");
      // What replicas share is laid over each list that is found.
      if (this.#source !== undefined && !this.#shared) this.#following.keep(backend.url, fields);
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
   * @throws {UnknownBackendError} when it was removed otherwise in the meantime. Also throws what `find` throws
   */
  async remove<T>(find: FindBackend, removal: RemovalOptions<T>): Promise<Removed<T>> {
    const { drainMs, reason } = removal;
    const drain = drainMs === undefined ? undefined : await this.#beginDrain(find, drainMs, removal);
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

  /**
   * Replaces the list completely and without a failed request, or changes nothing. The new backends must pass a check
   * before the pool switches to the list. Other changes do not wait for that, and not for the drains after it. Resolves
   * when the backends that left have drained and are removed.
   *
   * @throws {TrialsFailedError} when a new backend has passed no check in time
   * @throws {DeploymentEndedError} when the pool has changed, when another deployment has begun, or when whoever asked
   * has left, all before the switch
   * @throws {PoolFullError} when there is no room
   * @throws {DrainCalledOffError} when the pool has switched, but a backend that left was to serve again
   */
  async deploy(options: DeploymentOptions): Promise<Deployed> {
    const { reason, begun, switched } = options;
    const deployment = await this.#run(async (lists) => {
      this.#mustOwnList();
      await lists.makeRoom([{ pool: this.#pool, specs: options.specs }]);
      return this.#beginDeployment(options);
    });
    const drains: Drain[] = [];
    try {
      begun?.(deployment.fresh);
      this.#trials = deployment.tryOut(this.#trial);
      await this.#trials;
      const lists = await this.#run((lists) => this.#switch(deployment, { ...options, drains, lists }));
      await this.#changes.settled();
      switched?.(lists);
      const ends = await Promise.allSettled(drains.map((drain) => this.#leave(drain, reason)));
      for (const end of ends) if (end.status === "rejected") throw end.reason;
      await this.#changes.settled();
      return lists;
    } finally {
      deployment.close();
      if (this.#deployment === deployment) this.#deployment = undefined;
      for (const drain of drains) this.#drains.delete(drain);
    }
  }

  /** Ends a deployment whose list is not in force yet. Resolves when none of its checks runs any more. */
  async endDeployment(why: string): Promise<void> {
    this.#deployment?.end(why);
    await this.#trials.catch(() => {}); // whoever asked for the deployment gets the error
  }

  /** Ends all that runs by itself. Backends stay as they are. */
  async stop(): Promise<void> {
    const ends = [this.endDeployment("roundhouse is stopping"), this.#following.stop(), this.sharedList.stop()];
    await Promise.all(ends);
  }

  /**
   * A new list has backends that an earlier deployment, or the last list of a source, is about to remove. They stay,
   * and serve again.
   */
  takeBack(specs: readonly BackendSpec[], reason: string): void {
    const wanted = new Set(specs.map(({ url }) => url));
    const drains = [...this.#drains].filter(({ byList, backend }) => byList && wanted.has(backend.url));
    const taken = drains.map(({ backend }) => [backend, this.#callOff(backend)] as const);
    if (this.#source === undefined) taken.push(...this.#following.handOver(wanted));
    this.#pool.updateAll(taken, reason);
  }

  #beginDeployment(options: DeploymentOptions): Deployment {
    const leaving = Array.from(this.#drains, ({ backend }) => backend);
    const deployment = new Deployment(this.#pool, options, leaving);
    this.#deployment?.end("another deployment has begun");
    return this.#deployment = deployment;
  }

  async #switch(
    deployment: Deployment,
    { specs, drainMs, local = false, drains, lists }: DeploymentOptions & { drains: Drain[]; lists: Lists },
  ): Promise<Deployed> {
    await lists.makeRoom([{ pool: this.#pool, specs }]);
    deployment.mustGoOn();
    deployment.close();
    this.#deployment = undefined;
    await this.#persist({ kind: "replace", specs, drainMs }, { local });
    return await deployment.switch({
      settled: () => this.#changes.settled(),
      takeBack: (backend) => this.#callOff(backend),
      leave: (backend) => {
        const drain = new Drain(backend, { limitMs: drainMs, byList: true });
        this.#drains.add(drain);
        drains.push(drain);
        return drain.patch;
      },
    });
  }

  /** Removes a backend that a deployment drains. */
  async #leave(drain: Drain, reason: string): Promise<void> {
    await drain.ended();
    await this.#run(() => {
      drain.mustBeOn();
      this.#pool.remove(drain.backend, reason, { drained: true });
    });
  }

  /** Runs a change in its turn. */
  #run<T>(change: (lists: Lists) => T | Promise<T>): Promise<T> {
    return this.#changes.run((lists) => {
      if (this.#ended) throw new PoolEndedError();
      return change(lists);
    });
  }

  #mustOwnList(): void {
    if (this.#source === undefined) return;
    throw new FollowsSourceError(`the pool's backends come from ${this.#source}, so they are added and removed there`);
  }

  #beginDrain<T>(find: FindBackend, drainMs: number, { reason, local = false }: RemovalOptions<T>): Promise<Drain> {
    return this.#run(async () => {
      this.#mustOwnList();
      const drain = new Drain(find(this.#pool), { limitMs: drainMs, byList: this.#shared });
      if (drain.byList) await this.#persist({ kind: "remove", url: drain.backend.url, drainMs }, { local });
      this.#pool.update(drain.backend, drain.patch, reason);
      this.#drains.add(drain);
      return drain;
    });
  }

  async #remove<T>(
    backend: Backend,
    drain: Drain | undefined,
    { reason, describe, local = false }: RemovalOptions<T>,
  ): Promise<Removed<T>> {
    this.#mustOwnList();
    drain?.mustBeOn();
    if (!backend.inPool) throw new UnknownBackendError("the pool has no such backend");
    if (drain?.byList !== true) await this.#persist({ kind: "remove", url: backend.url }, { local });
    const removed = { before: drain?.before ?? backend.settings, description: describe(backend) };
    this.#pool.remove(backend, reason, { drained: drain !== undefined });
    return removed;
  }

  #drainsOf(backend: Backend): readonly Drain[] {
    return [...this.#drains].filter((drain) => drain.backend === backend && drain.isOn);
  }

  /** Calls off all drains of a backend that a new list has. Returns the change that makes it serve again. */
  #callOff(backend: Backend): BackendPatch {
    const drains = this.#drainsOf(backend);
    const restoring = drains.map((drain) => drain.restoring);
    for (const drain of drains) drain.callOff("is in a new list");
    return restoring.find(({ state }) => state !== undefined) ?? {};
  }
}
