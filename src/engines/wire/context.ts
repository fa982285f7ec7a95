/** What all connections of one wire engine share. */

import type { Config } from "../../config/schema.ts";
import type { Log } from "../../log.ts";
import type { Pace } from "../../net/pace.ts";
import type { ServerPool } from "../../pool/server_pool.ts";
import type { Forwarder } from "../../proxy/forwarder.ts";
import { Uploads } from "../uploads.ts";
import { Admission } from "./admission.ts";
import { BackendConnections } from "./backend/backend_connections.ts";
import { LargeBuffers } from "./buffers.ts";
import { TimeoutQueue } from "./timeouts.ts";

export interface WireContextOptions {
  readonly config: Config;
  readonly pools: readonly ServerPool[];
  readonly forwarder: Forwarder;
  readonly log: Log;
  readonly secure: boolean;
  readonly pace: Pace;
}

/** How long a client may still send after an answer to a request that was not read to its end. Then it is cut. */
const LINGER_MS = 1000;

export class WireContext {
  readonly forwarder: Forwarder;
  readonly log: Log;
  /** Whether the clients' connections are encrypted. */
  readonly secure: boolean;
  readonly backends: BackendConnections;
  readonly buffers = new LargeBuffers();
  readonly admission = new Admission();
  /** Loops that move bytes ask it before each part. */
  readonly pace: Pace;
  /**
   * The limits for: a client's head, its idle connection, its lingering; connecting to a backend, a backend's head; the
   * next byte of a body; a whole request.
   */
  readonly headerTimeouts = new TimeoutQueue(0);
  readonly keepAliveTimeouts = new TimeoutQueue(0);
  readonly lingerTimeouts = new TimeoutQueue(LINGER_MS);
  readonly connectTimeouts = new TimeoutQueue(0, { startsAnew: true });
  readonly responseTimeouts = new TimeoutQueue(0, { startsAnew: true });
  readonly idleTimeouts = new TimeoutQueue(0, { startsAnew: true });
  readonly requestTimeouts = new TimeoutQueue(0);
  /** Called when a client's connection becomes idle, while a new client waits for a place. */
  onIdle: (() => void) | undefined;
  limitsRequests = false;
  maxHeaderBytes = 0;
  /** Requests whose bodies are still arriving. */
  readonly uploads = new Uploads();

  constructor({ config, pools, forwarder, log, secure, pace }: WireContextOptions) {
    this.pace = pace;
    this.forwarder = forwarder;
    this.log = log;
    this.secure = secure;
    this.backends = new BackendConnections(pools);
    this.configure(config);
  }

  /** Changes the limits, also for requests in flight. */
  configure({ timeouts, proxy }: Config): void {
    this.headerTimeouts.configure(timeouts.headerMs);
    this.keepAliveTimeouts.configure(timeouts.keepAliveMs);
    this.connectTimeouts.configure(timeouts.connectMs);
    this.responseTimeouts.configure(timeouts.responseMs);
    this.idleTimeouts.configure(timeouts.idleMs);
    this.requestTimeouts.configure(timeouts.requestMs);
    this.limitsRequests = timeouts.requestMs > 0;
    this.maxHeaderBytes = proxy.maxHeaderBytes;
  }

  close(): void {
    this.backends.close();
    this.pace[Symbol.dispose]();
    const queues = [this.headerTimeouts, this.keepAliveTimeouts, this.lingerTimeouts, this.connectTimeouts];
    for (const queue of [...queues, this.responseTimeouts, this.idleTimeouts, this.requestTimeouts]) queue.close();
  }
}
