/** What all connections of one wire engine share. */

import type { Config } from "../../config/schema.ts";
import type { Log } from "../../log.ts";
import type { Pace } from "../../net/pace.ts";
import type { ServerPools } from "../../pool/server_pools.ts";
import type { Forwarder } from "../../proxy/forwarder.ts";
import { Copies } from "../copies.ts";
import { Uploads } from "../uploads.ts";
import { Admission } from "./admission.ts";
import { BackendConnections } from "./backend/backend_connections.ts";
import { HeadBuffers, LargeBuffers } from "./buffers.ts";
import { ClockRoom, type Clocks } from "./clocks.ts";
import { TimeoutQueue } from "./timeouts.ts";

export interface WireContextOptions {
  readonly config: Config;
  readonly pools: ServerPools;
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
  readonly headBuffers = new HeadBuffers();
  readonly admission = new Admission();
  /** Loops that move bytes ask it before each part. */
  readonly pace: Pace;
  /** The limits for a client's head, its idle connection, and its lingering. */
  readonly headerTimeouts = new TimeoutQueue(0);
  readonly keepAliveTimeouts = new TimeoutQueue(0);
  readonly lingerTimeouts = new TimeoutQueue(LINGER_MS);
  /** The limits of requests. */
  readonly clockRoom = new ClockRoom();
  /** Those of the configuration in force, for what belongs to no request. */
  clocks: Clocks;
  /** Called when a client's connection becomes idle, while a new client waits for a place. */
  onIdle: (() => void) | undefined;
  maxHeaderBytes = 0;
  /** Requests whose bodies are still arriving. */
  readonly uploads = new Uploads();
  readonly copies = new Copies();

  constructor({ config, pools, forwarder, log, secure, pace }: WireContextOptions) {
    this.pace = pace;
    this.forwarder = forwarder;
    this.log = log;
    this.secure = secure;
    this.backends = new BackendConnections(pools);
    this.clocks = this.clockRoom.for(config.timeouts);
    this.configure(config);
  }

  /** Changes the limits for connections at once. Requests in flight keep theirs. */
  configure({ timeouts, proxy }: Config): void {
    this.headerTimeouts.configure(timeouts.headerMs);
    this.keepAliveTimeouts.configure(timeouts.keepAliveMs);
    this.clockRoom.tidy();
    this.clocks = this.clockRoom.for(timeouts);
    this.maxHeaderBytes = proxy.maxHeaderBytes;
  }

  close(): void {
    this.backends.close();
    this.pace[Symbol.dispose]();
    for (const queue of [this.headerTimeouts, this.keepAliveTimeouts, this.lingerTimeouts]) queue.close();
    this.clockRoom.close();
  }
}
