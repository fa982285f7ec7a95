/** The backends of a pool. Tells listeners about every change of the list, and of health and state. */

import type { BackendState } from "../config/backend_change.ts";
import { MAX_BACKENDS } from "../config/backend_limit.ts";
import { DEFAULT_POOL_NAME } from "../config/pool_settings.ts";
import type { BackendSpec } from "../config/schema.ts";
import type { PoolMemory } from "../memory/memory.ts";
import type { SlotAllotment } from "../memory/slot_allotment.ts";
import { Backend } from "./backend.ts";

/** What happened to a backend. */
export type PoolEventType = "added" | "removed" | "up" | "down" | "changed" | BackendState;

export interface PoolEvent {
  readonly type: PoolEventType;
  readonly backend: Backend;
  readonly reason: string;
  /** ISO 8601. */
  readonly at: string;
}

/** The settings of a backend that an operator changes. Absent ones stay as they are. */
export interface BackendPatch {
  readonly weight?: number;
  readonly maxConnections?: number | null;
  readonly backup?: boolean;
  readonly state?: BackendState;
}

/** The backend is in the pool already. */
export class DuplicateBackendError extends Error {
  override readonly name = "DuplicateBackendError";
}

/** The pools have `MAX_BACKENDS` backends, or requests to removed backends still use too many slots. */
export class PoolFullError extends Error {
  override readonly name = "PoolFullError";
}

/** A backend and its slot. */
export interface PlacedBackend {
  readonly spec: BackendSpec;
  readonly slot: number;
}

/** Backends that are removed and added in one step. */
export interface Swap<Added> {
  readonly removed: readonly Backend[];
  readonly added: readonly Added[];
}

/** One isolate's view of a pool. The control plane chooses the slots in shared memory. Workers are told them. */
export class ServerPool {
  readonly name: string;
  readonly shared: PoolMemory;
  #backends: readonly Backend[] = [];
  /** Removed backends whose last request may not have ended. Each still has its slot, so there are not many. */
  #leaving: readonly Backend[] = [];
  readonly #listeners = new Set<(event: PoolEvent) => void>();

  constructor(shared: PoolMemory, name: string = DEFAULT_POOL_NAME) {
    this.name = name;
    this.shared = shared;
  }

  /**
   * All backends, in the order in which they were added. Every change makes a new array, so it can be kept as a
   * snapshot.
   */
  get backends(): readonly Backend[] {
    return this.#backends;
  }

  /** Whether no request is in flight at a backend of the pool. Those that were removed from it count, too. */
  get idle(): boolean {
    return this.#backends.every(({ idle }) => idle) && this.#leaving.every(({ idle }) => idle);
  }

  get(id: string): Backend | undefined {
    return this.#backends.find((backend) => backend.id === id);
  }

  /** Finds a backend by its normalised URL. */
  getByUrl(url: string): Backend | undefined {
    return this.#backends.find((backend) => backend.url === url);
  }

  /** Calls `listener` after every change until the returned function is called. */
  subscribe(listener: (event: PoolEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Adds a backend. It is up unless `up` is false. It gets traffic at once.
   *
   * @throws {DuplicateBackendError} when one with the same URL is there
   * @throws {PoolFullError} when there is no room
   */
  add(spec: BackendSpec, reason: string, up = true): Backend {
    this.mustTake(spec.url);
    const [slot = 0] = this.shared.memory.slots.take(1); // `take(1)` returns one slot
    this.#place(slot, spec, up);
    return this.adopt(spec, slot, reason);
  }

  /**
   * Replaces backends in one step, so that no request finds the pool half changed. `up`: whether the added ones are up.
   * Their URLs must differ from those of the backends that stay. There must be room.
   */
  swap({ removed, added }: Swap<BackendSpec>, reason: string, up: boolean): void {
    const slots = this.shared.memory.slots.take(added.length);
    const placed = added.map((spec, index) => ({ spec, slot: slots[index] ?? 0 })); // there is one slot for each
    for (const { spec, slot } of placed) this.#place(slot, spec, up);
    this.follow({ removed, added: placed }, reason);
    for (const { slot } of removed) this.shared.memory.slots.giveBack(slot);
  }

  /** Repeats, in a worker, a swap that the control plane has made. The new backends already have slots. */
  follow({ removed, added }: Swap<PlacedBackend>, reason: string): void {
    this.#put(removed, added.map(({ spec, slot }) => this.#make(spec, slot)), reason);
  }

  /** Adds a backend that already has a slot. */
  adopt(spec: BackendSpec, slot: number, reason: string): Backend {
    const backend = this.#make(spec, slot);
    this.#put([], [backend], reason);
    return backend;
  }

  /**
   * Removes a backend. It gets no new requests. Its present requests may end. So may WebSockets and tunnels, unless the
   * backend has drained: then they are closed.
   */
  remove(backend: Backend, reason: string, { drained = false }: { readonly drained?: boolean } = {}): void {
    if (!this.#backends.includes(backend)) return;
    if (drained) backend.endLasting();
    this.#put([backend], [], reason);
    this.shared.memory.slots.giveBack(backend.slot);
  }

  /**
   * Throws unless a backend with this URL can be added now.
   *
   * @throws {DuplicateBackendError} when one with the same URL is there
   * @throws {PoolFullError} when there is no room
   */
  mustTake(url: string): void {
    if (this.getByUrl(url) !== undefined) throw new DuplicateBackendError(`${url} is in the pool already`);
    mustHaveRoom(this.shared.memory.slots, { removed: 0, added: 1 });
  }

  /** The backend with this slot and generation. */
  getBySlot(slot: number, generation: number): Backend | undefined {
    return this.#backends.find((backend) => backend.slot === slot && backend.generation === generation);
  }

  /** Tells the listeners that another isolate has marked a backend down in the shared memory. */
  noteDown(backend: Backend, reason: string): void {
    if (!backend.alive) this.#recordChange(backend, "down", reason);
  }

  /** Sets the health according to checks and connections. Does nothing if it is the same already. */
  setUp(backend: Backend, up: boolean, reason: string): void {
    const was = backend.alive;
    if (this.shared.memory.health.setUp(backend.slot, up)) this.#healthChanged(backend, was, reason);
  }

  /** Ejects a backend, regardless of its checks, or ends its ejection. */
  setEjected(backend: Backend, ejected: boolean, reason: string): void {
    const was = backend.alive;
    if (this.shared.memory.health.setEjected(backend.slot, ejected)) this.#healthChanged(backend, was, reason);
  }

  /** Sets the step of slow start: the backend gets `ramp` tenths of its weight. */
  setRamp(backend: Backend, ramp: number): void {
    if (this.shared.memory.settings.setRamp(backend.slot, ramp)) this.shared.cells.bumpEpoch();
  }

  /** Applies an operator's change, which has been validated. Returns whether anything changed. */
  update(backend: Backend, patch: BackendPatch, reason: string): boolean {
    return this.updateAll([[backend, patch]], reason).length > 0;
  }

  /**
   * Applies changes of several backends in one step: all isolates pick by the old settings, or by the new ones. Returns
   * the backends that have changed.
   */
  updateAll(patches: readonly (readonly [Backend, BackendPatch])[], reason: string): readonly Backend[] {
    const written = patches.map(([backend, patch]) => ({ backend, ...this.#write(backend, patch) }))
      .filter(({ changed, stateChanged }) => changed || stateChanged);
    if (written.length > 0) this.shared.cells.bumpEpoch();
    for (const { backend, changed, stateChanged } of written) {
      if (changed) this.#emit("changed", backend, reason);
      if (stateChanged) this.#recordChange(backend, backend.state, reason);
    }
    return written.map(({ backend }) => backend);
  }

  #write({ slot }: Backend, patch: BackendPatch) {
    const { settings } = this.shared.memory;
    let changed = patch.weight !== undefined && settings.setWeight(slot, patch.weight);
    if (patch.maxConnections !== undefined) {
      changed = settings.setConnectionLimit(slot, patch.maxConnections ?? 0) || changed;
    }
    if (patch.backup !== undefined) changed = settings.setBackup(slot, patch.backup) || changed;
    const stateChanged = patch.state !== undefined && settings.setState(slot, patch.state);
    return { changed, stateChanged };
  }

  #healthChanged(backend: Backend, wasAlive: boolean, reason: string): void {
    this.shared.cells.bumpEpoch();
    if (backend.alive !== wasAlive) this.#recordChange(backend, backend.alive ? "up" : "down", reason);
  }

  #recordChange(backend: Backend, to: "up" | "down" | BackendState, reason: string): void {
    const at = now();
    backend.lastChange = { at, to, reason };
    this.#emit(to, backend, reason, at);
  }

  #emit(type: PoolEventType, backend: Backend, reason: string, at = now()): void {
    const event: PoolEvent = { type, backend, reason, at };
    for (const listener of this.#listeners) listener(event);
  }

  #make(spec: BackendSpec, slot: number): Backend {
    return new Backend(spec, slot, { shared: this.shared, name: this.name });
  }

  #put(removed: readonly Backend[], added: readonly Backend[], reason: string): void {
    const leaving = new Set(removed);
    for (const backend of removed) backend.inPool = false;
    this.#backends = [...this.#backends.filter((backend) => !leaving.has(backend)), ...added];
    if (removed.length > 0) this.#leaving = [...this.#leaving, ...removed].filter(({ idle }) => !idle);
    for (const backend of removed) this.#emit("removed", backend, reason);
    for (const backend of added) this.#emit("added", backend, reason);
  }

  #place(slot: number, spec: BackendSpec, up: boolean): void {
    const { memory } = this.shared;
    memory.resetSlot(slot);
    memory.health.setUp(slot, up);
    memory.settings.setWeight(slot, spec.weight);
    memory.settings.setConnectionLimit(slot, spec.maxConnections ?? 0);
    memory.settings.setBackup(slot, spec.backup);
  }
}

/**
 * Throws unless this many backends can be removed and added now, in all pools together.
 *
 * @throws {PoolFullError} when there is no room
 */
export function mustHaveRoom(
  { backendsLeft, room }: SlotAllotment,
  { removed, added }: { readonly removed: number; readonly added: number },
): void {
  if (added - removed > backendsLeft) throw new PoolFullError(`the pool holds at most ${MAX_BACKENDS} backends`);
  if (added <= room) return;
  throw new PoolFullError(
    `there is room for ${room} new backends, not for ${added}, until requests to removed backends have ended`,
  );
}

function now(): string {
  return new Date().toISOString();
}
