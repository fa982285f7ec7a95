/** The backends: which there are, and every change of their health and state, told to whoever listens. */

import type { BackendSpec } from "../config/schema.ts";
import { Backend } from "./backend.ts";
import { type BackendState, MAX_BACKENDS, type SharedState } from "./shared_state.ts";

/** What happened to a backend. */
export type PoolEventType = "added" | "removed" | "up" | "down" | "changed" | BackendState;

export interface PoolEvent {
  readonly type: PoolEventType;
  readonly backend: Backend;
  readonly reason: string;
  /** ISO 8601. */
  readonly at: string;
}

/** What an operator may change about a backend; what is absent stays. */
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

/** The pool holds `MAX_BACKENDS` backends. */
export class PoolFullError extends Error {
  override readonly name = "PoolFullError";
}

/** The pool of one isolate. The control plane's allots the slots in shared memory; replicas are told them. */
export class ServerPool {
  readonly shared: SharedState;
  #backends: readonly Backend[] = [];
  readonly #listeners = new Set<(event: PoolEvent) => void>();
  /** Slots out of use, the longest unused first, so that a slot rests before it serves another backend. */
  readonly #freeSlots: number[] = [];
  readonly #heldSlots = new Set<number>();
  #slotsUsed = 0;

  constructor(shared: SharedState) {
    this.shared = shared;
  }

  /** All of them, in the order they were added. A new array at every change, so it can be kept as a snapshot. */
  get backends(): readonly Backend[] {
    return this.#backends;
  }

  get(id: string): Backend | undefined {
    return this.#backends.find((backend) => backend.id === id);
  }

  /** By its normalised URL. */
  getByUrl(url: string): Backend | undefined {
    return this.#backends.find((backend) => backend.url === url);
  }

  /** Calls `listener` after every change until the returned function is called. */
  subscribe(listener: (event: PoolEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Adds a backend, up unless `up` is false. Traffic reaches it at once.
   *
   * @throws {DuplicateBackendError} when one with the same URL is there
   * @throws {PoolFullError} when there is no room
   */
  add(spec: BackendSpec, reason: string, up = true): Backend {
    if (this.getByUrl(spec.url) !== undefined) throw new DuplicateBackendError(`${spec.url} is in the pool already`);
    const slot = this.#takeSlot();
    this.shared.resetSlot(slot);
    this.shared.setUp(slot, up);
    this.shared.setWeight(slot, spec.weight);
    this.shared.setMaxConnections(slot, spec.maxConnections);
    this.shared.setBackup(slot, spec.backup);
    return this.adopt(spec, slot, reason);
  }

  /** Adds a backend that another isolate's pool has given a slot: how a replica follows it. */
  adopt(spec: BackendSpec, slot: number, reason: string): Backend {
    const backend = new Backend(spec, slot, this.shared);
    this.#backends = [...this.#backends, backend];
    this.#emit("added", backend, reason);
    return backend;
  }

  /** Takes a backend out: no request that is not on its way there goes to it any more. Those finish. */
  remove(backend: Backend, reason: string): void {
    if (!this.#backends.includes(backend)) return;
    backend.inPool = false;
    this.#backends = this.#backends.filter((other) => other !== backend);
    this.#freeSlots.push(backend.slot);
    this.#emit("removed", backend, reason);
  }

  /** The backend that has this slot, if it is the one that was meant. */
  getBySlot(slot: number, generation: number): Backend | undefined {
    return this.#backends.find((backend) => backend.slot === slot && backend.generation === generation);
  }

  /**
   * Keeps a slot from being given to another backend until the returned function is called: replicas that have not yet
   * heard of a removal still send requests there.
   */
  holdSlot(slot: number): () => void {
    this.#heldSlots.add(slot);
    return () => this.#heldSlots.delete(slot);
  }

  /** Another isolate has taken a living backend out through the shared memory: tells the listeners. */
  noteDown(backend: Backend, reason: string): void {
    if (!backend.alive) this.#recordChange(backend, "down", reason);
  }

  /** What checks and connections say. Does nothing when it was so already. */
  setUp(backend: Backend, up: boolean, reason: string): void {
    const was = backend.alive;
    if (this.shared.setUp(backend.slot, up)) this.#healthChanged(backend, was, reason);
  }

  /** Takes a backend out whatever checks say, or lets it back in. */
  setEjected(backend: Backend, ejected: boolean, reason: string): void {
    const was = backend.alive;
    if (this.shared.setEjected(backend.slot, ejected)) this.#healthChanged(backend, was, reason);
  }

  /** Slow start: lets a backend have `ramp` tenths of its weight. */
  setRamp(backend: Backend, ramp: number): void {
    if (this.shared.setRamp(backend.slot, ramp)) this.shared.bumpEpoch();
  }

  /** Applies an operator's change, already validated; returns whether it differed. */
  update(backend: Backend, patch: BackendPatch, reason: string): boolean {
    const { slot } = backend;
    let changed = patch.weight !== undefined && this.shared.setWeight(slot, patch.weight);
    if (patch.maxConnections !== undefined) {
      changed = this.shared.setMaxConnections(slot, patch.maxConnections) || changed;
    }
    if (patch.backup !== undefined) changed = this.shared.setBackup(slot, patch.backup) || changed;
    const stateChanged = patch.state !== undefined && this.shared.setState(slot, patch.state);
    if (!changed && !stateChanged) return false;
    this.shared.bumpEpoch();
    if (changed) this.#emit("changed", backend, reason);
    if (stateChanged) this.#recordChange(backend, backend.state, reason);
    return true;
  }

  #healthChanged(backend: Backend, wasAlive: boolean, reason: string): void {
    this.shared.bumpEpoch();
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

  /** A removed backend keeps its slot until its last request has ended: that request still counts down there. */
  #takeSlot(): number {
    const idle = this.#freeSlots.findIndex((slot) => !this.#heldSlots.has(slot) && this.shared.isIdle(slot));
    const [freed] = idle === -1 ? [] : this.#freeSlots.splice(idle, 1);
    if (freed !== undefined) return freed;
    if (this.#slotsUsed === MAX_BACKENDS) throw new PoolFullError(`the pool holds at most ${MAX_BACKENDS} backends`);
    return this.#slotsUsed++;
  }
}

function now(): string {
  return new Date().toISOString();
}
