/**
 * The messages between the control plane and its workers. Values that change with each request are in shared memory
 * instead.
 */

import type { Config } from "../config/schema.ts";
import type { Fields, Level } from "../log.ts";
import type { Shared } from "../memory/arena.ts";
import type { SharedLimits } from "../memory/limits.ts";
import type { SharedSessions } from "../memory/session_table.ts";
import type { SlotUse } from "../memory/slots.ts";
import type { BoundAddress } from "../net/listen_address.ts";
import type { PlacedBackend } from "../pool/server_pool.ts";
import type { ServerTls } from "../tls/server_certificate.ts";

/** All that a worker needs to start. */
export interface StartOrder {
  readonly type: "start";
  /** Contains the port that all workers share. */
  readonly config: Config;
  /** `undefined`: plain HTTP. */
  readonly tls: ServerTls | undefined;
  /** The shared memory to attach to. */
  readonly memory: Shared;
  readonly pools: readonly StartedPool[];
  /** The sessions of all pools. */
  readonly sessions: readonly PoolSessions[];
  /** The memory of what guards count. */
  readonly limits: SharedLimits;
  /** The descriptor of a socket of the worker's own to listen at; `undefined`: it opens one. */
  readonly socket: number | undefined;
}

/** A pool that a worker does not have yet, with its backends. Other messages name it by its number. */
export interface StartedPool {
  readonly name: string;
  readonly pool: number;
  readonly backends: readonly PlacedBackend[];
}

/** A pool of the configuration, and its sessions by address, to attach to; `undefined`: there are none. */
export interface PoolSessions {
  readonly pool: number;
  readonly sessions: SharedSessions | undefined;
}

/** Changes pools in one step, so that no request finds a pool half changed. */
export interface SwapOrder {
  readonly type: "swap";
  readonly swaps: readonly PoolSwap[];
  /** Pools that have ended. They have no backends any more. */
  readonly ended: readonly number[];
}

/** Uses another configuration for the requests to come. */
export interface ConfigureOrder {
  readonly type: "configure";
  readonly config: Config;
  /** New pools. They are there, with their backends, before a request can be sent to them. */
  readonly begun: readonly StartedPool[];
  /** The sessions of all pools of the configuration. */
  readonly sessions: readonly PoolSessions[];
  readonly limits: SharedLimits;
}

/** Backends that are removed from a pool and added to it. */
export interface PoolSwap {
  readonly pool: number;
  readonly removed: readonly RemovedBackend[];
  readonly added: readonly PlacedBackend[];
}

/** A backend that was removed. */
export interface RemovedBackend {
  readonly slot: number;
  /** Whether its drain has ended, so that its WebSockets and tunnels must end. */
  readonly drained: boolean;
}

/** An order for a worker. Orders are carried out in the order in which they were sent. `start` is the first. */
export type Order =
  | StartOrder
  | SwapOrder
  | ConfigureOrder
  | { readonly type: "tls"; readonly tls: ServerTls }
  /**
   * Only asks for an acknowledgement. By then, all earlier orders have been carried out, and all earlier news was sent.
   */
  | { readonly type: "sync" }
  /** Make another descriptor of the socket, for another process, and accept no clients until `resume`. */
  | { readonly type: "offer" }
  | { readonly type: "resume" }
  /** Accept no more clients, and close each connection after its next answer, because another process takes over. */
  | { readonly type: "release" }
  /** Answer new requests with 503. Done when no request body is arriving any more. */
  | { readonly type: "refuse" }
  /** Stop gracefully. Done when nothing is left. */
  | { readonly type: "stop" }
  /** Tell clients that are still connected that the proxy goes away. */
  | { readonly type: "goodbye" };

/** A message to a worker: an order with a number. */
export interface Numbered {
  readonly number: number;
  readonly order: Order;
}

/** What a worker reports when it has started. */
export interface Started {
  readonly address: BoundAddress;
  /** Whether its engine can change certificates while it listens. */
  readonly takesCertificates: boolean;
  /** Whether another process can take over its socket. */
  readonly sharesSocket: boolean;
}

/** What a worker reports when it has carried out an order. */
export interface Done {
  readonly type: "done";
  readonly number: number;
  readonly started?: Started;
  /** Of its socket, if it was asked for one and has one. */
  readonly descriptor?: number;
}

/** A line for the log of the process. */
export interface LogLine {
  readonly level: Level;
  readonly message: string;
  readonly fields: Fields;
}

/** A message from a worker that was not asked for. */
export type News =
  | { readonly type: "log"; readonly lines: readonly LogLine[] }
  /** The worker can accept no client, or can accept clients again. */
  | { readonly type: "accepting"; readonly accepting: boolean }
  /** An attempt failed after its connection was made, or was answered with 5xx. */
  | { readonly type: "failure"; readonly pool: number; readonly backend: SlotUse }
  /** Too many connections in a row have failed. The worker has already taken the backend out in the shared memory. */
  | {
    readonly type: "took-out";
    readonly pool: number;
    readonly backend: SlotUse;
    readonly reason: string;
    readonly wasAlive: boolean;
  };

/** A message from a worker. */
export type Report =
  | News
  | Done
  /** The worker could not start. `name` is the name of the runtime's error. */
  | { readonly type: "refused"; readonly number: number; readonly name: string; readonly message: string }
  /** An error was not caught. The worker has ended. */
  | { readonly type: "failed"; readonly reason: string };
