/** What the control plane and its workers say to each other: structure and news. What changes per request is shared. */

import type { Config } from "../config/schema.ts";
import type { Fields, Level } from "../log.ts";
import type { Shared } from "../memory/arena.ts";
import type { SharedSessions } from "../memory/session_table.ts";
import type { SlotUse } from "../memory/slots.ts";
import type { PlacedBackend } from "../pool/server_pool.ts";
import type { ServerCertificate } from "../tls/server_certificate.ts";

/** All that a worker needs to begin. */
export interface StartOrder {
  readonly type: "start";
  /** With the port that all workers share. */
  readonly config: Config;
  readonly certificate: ServerCertificate | undefined;
  /** What changes per request, to attach to. */
  readonly memory: Shared;
  readonly pools: readonly StartedPool[];
}

/** A pool that a worker is to forward to. Other messages mean it by its number. */
export interface StartedPool extends PoolSessions {
  readonly name: string;
  readonly backends: readonly PlacedBackend[];
}

/** A pool's sessions by address, to attach to. */
export interface PoolSessions {
  readonly pool: number;
  readonly sessions: SharedSessions | undefined;
}

/** Backends that leave a pool and backends that come. */
export interface PoolSwap {
  readonly pool: number;
  readonly removed: readonly RemovedBackend[];
  readonly added: readonly PlacedBackend[];
}

/** A backend that leaves. */
export interface RemovedBackend {
  readonly slot: number;
  /** Whether its drain is over, so that WebSockets and tunnels to it end. */
  readonly drained: boolean;
}

/** What a worker is to do. They are carried out in the order they were sent; `start` is the first. */
export type Order =
  | StartOrder
  /** In one step: no request finds a pool half changed. */
  | { readonly type: "swap"; readonly swaps: readonly PoolSwap[] }
  | { readonly type: "configure"; readonly config: Config; readonly sessions: readonly PoolSessions[] }
  | { readonly type: "certificate"; readonly certificate: ServerCertificate }
  /** Nothing but an acknowledgement: all that was ordered before is done by then, and all news before it is told. */
  | { readonly type: "sync" }
  /** Answer new requests 503; done when no request body is arriving any more. */
  | { readonly type: "refuse" }
  /** Stop gracefully; done when nothing is left. */
  | { readonly type: "stop" }
  /** Tell whoever is still connected that the proxy goes away. */
  | { readonly type: "goodbye" };

/** To a worker: an order under a number of its own. */
export interface Numbered {
  readonly number: number;
  readonly order: Order;
}

/** What a worker that has begun says of itself. */
export interface Started {
  readonly address: Deno.NetAddr;
  /** Whether its engine can show another certificate while it listens. */
  readonly takesCertificates: boolean;
}

/** A line for the one log. */
export interface LogLine {
  readonly level: Level;
  readonly message: string;
  readonly fields: Fields;
}

/** From a worker, unasked. */
export type News =
  | { readonly type: "log"; readonly lines: readonly LogLine[] }
  /** It can accept no client, or can again. */
  | { readonly type: "accepting"; readonly accepting: boolean }
  /** An attempt failed after its connection was made, or was answered with 5xx. */
  | { readonly type: "failure"; readonly pool: number; readonly backend: SlotUse }
  /** Too many connections could not be made: the backend is out already, in shared memory. */
  | {
    readonly type: "took-out";
    readonly pool: number;
    readonly backend: SlotUse;
    readonly reason: string;
    readonly wasAlive: boolean;
  };

/** From a worker. */
export type Report =
  | News
  | { readonly type: "done"; readonly number: number; readonly started?: Started }
  /** It could not begin; `name` is that of the runtime's error. */
  | { readonly type: "refused"; readonly number: number; readonly name: string; readonly message: string }
  /** An error that nobody caught; the worker has ended. */
  | { readonly type: "failed"; readonly reason: string };
