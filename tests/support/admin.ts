/** An admin server on a free port, and requests to it as bytes. */

import { assert, assertEquals } from "@std/assert";
import { EventFeed } from "../../src/admin/event_feed.ts";
import { TrafficHistory } from "../../src/admin/history.ts";
import type { AdminPool } from "../../src/admin/admin_pool.ts";
import type { Route } from "../../src/admin/guard.ts";
import { statusView } from "../../src/admin/routes/status.ts";
import { type AdminOptions, type AdminServer, routeTable, startAdminServer } from "../../src/admin/server.ts";
import { explain } from "../../src/balancing/explain.ts";
import { UnknownEntryError } from "../../src/config/routes/moved_split.ts";
import { configSchema } from "../../src/config/schema.ts";
import { ConfigError } from "../../src/errors.ts";
import type { Backend } from "../../src/pool/backend.ts";
import { ChangeQueue } from "../../src/pool/change_queue.ts";
import { NotPersistedError } from "../../src/pool/keeping.ts";
import { Membership, type MembershipOptions } from "../../src/pool/membership.ts";
import { ServerPool } from "../../src/pool/server_pool.ts";
import { Memory } from "../../src/memory/memory.ts";
import { RecordingLog } from "./log.ts";
import { backendSpec } from "./pool.ts";
import { headerOf, RawClient, type RawResponse, textOf } from "./raw_client.ts";
import { ManualClock } from "./wait.ts";

/** The backend of the pool, unless the test names others. */
const BACKEND = "http://127.0.0.1:9001";

/** A request of a test. Missing fields are as a normal client sends them. */
export interface Sent {
  readonly method?: string;
  readonly target?: string;
  /** Replaces or, with `null`, leaves out a header. */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** Text is sent as it is; anything else as JSON. */
  readonly body?: unknown;
}

/** An admin server with a pool and a log of its own. */
export class TestAdmin implements AsyncDisposable {
  readonly memory = Memory.allocate();
  readonly pool = new ServerPool(this.memory.pool(0));
  readonly metrics = this.memory.metrics;
  readonly log = new RecordingLog();
  readonly events: EventFeed;
  /** The clock of the history. */
  readonly time = new ManualClock();
  readonly history: TrafficHistory;
  readonly server: AdminServer;
  readonly routes: readonly Route[];
  stopping = false;
  allAccepting = true;

  constructor(
    {
      urls = [BACKEND],
      token = null,
      timeouts = {},
      persist = () => Promise.resolve(),
      settled = () => Promise.resolve(),
      trial = () => Promise.resolve(null),
      ...options
    }:
      & { urls?: readonly string[]; token?: string | null; timeouts?: Partial<AdminOptions["timeouts"]> }
      & { settled?: () => Promise<void> }
      & Partial<Omit<AdminOptions, "timeouts"> & Pick<MembershipOptions, "persist" | "trial">> = {},
  ) {
    for (const url of urls) this.pool.add(backendSpec(url), "test");
    const changes = new ChangeQueue(settled);
    const defaultPool: AdminPool = {
      name: "default",
      pool: this.pool,
      membership: new Membership({
        pool: this.pool,
        changes,
        persist: (...args) => persist(...args).catch(notPersisted),
        trial,
      }),
      config: { strategy: { kind: "round-robin" } },
      explain: (request) => explain(this.pool, { kind: "round-robin" }, undefined, request),
      sessionOf: () => undefined,
      source: undefined,
      awaitsSource: false,
    };
    const status = {
      pool: this.pool,
      pools: {
        default: defaultPool,
        get: (name: string) => name === "default" ? defaultPool : undefined,
        all: () => [defaultPool],
      },
      configInForce: () => configSchema.parse({ admin: { token: "hidden" } }),
      memory: this.memory,
      version: "1.2.3",
      startedAt: new Date(Date.now() - 5000),
      cluster: undefined,
      certificates: () => [],
      facts: () => ({ strategy: "round-robin", engine: "fetch" as const, workers: 1 }),
      isStopping: () => this.stopping,
      allAccepting: () => this.allAccepting,
    };
    this.events = new EventFeed({ status: () => statusView(status) });
    const pools = () => [{ name: "default", pool: this.pool }];
    this.history = new TrafficHistory({ memory: this.memory, pools, routes: () => new Map(), clock: this.time });
    this.history.start();
    this.pool.subscribe((event) => this.events.poolChanged("default", event));
    const all: AdminOptions = {
      ...status,
      acceptingChanged: (accepting) => this.allAccepting = accepting,
      workerRestarts: () => 0,
      config: { host: "127.0.0.1", port: 0, token, persist: false },
      timeouts: { ...configSchema.parse({}).timeouts, ...timeouts },
      log: this.log,
      events: this.events,
      history: this.history,
      reload: () => Promise.reject(new ConfigError(["config: there is no configuration to read again"])),
      moveSplit: () => Promise.reject(new UnknownEntryError("route: there is none")),
      ...options,
    };
    this.routes = routeTable(all);
    this.server = startAdminServer(all);
  }

  get port(): number {
    return this.server.address.port;
  }

  /** The first backend, or the one with this URL. */
  backend(url = BACKEND): Backend {
    const backend = this.pool.getByUrl(url);
    assert(backend !== undefined, `${url} is not in the pool`);
    return backend;
  }

  /** Sends one request over a new connection, byte for byte. */
  async send({ method = "GET", target = "/status", headers = {}, body }: Sent): Promise<RawResponse> {
    using client = await RawClient.connect(this.port);
    const text = body === undefined || typeof body === "string" ? body ?? "" : JSON.stringify(body);
    const all: Record<string, string | null> = {
      host: `127.0.0.1:${this.port}`,
      connection: "close",
      "content-type": text === "" ? null : "application/json",
      "content-length": text === "" ? null : String(new TextEncoder().encode(text).length),
      ...headers,
    };
    const lines = Object.entries(all).flatMap(([name, value]) => value === null ? [] : [`${name}: ${value}\r\n`]);
    const response = await client.request(`${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n${text}`, method);
    assert(response !== undefined, `${method} ${target} got no answer`);
    return response;
  }

  /** Sends one request and returns status and JSON. */
  async call(sent: Sent) {
    const response = await this.send(sent);
    const isProblem = response.status >= 400;
    assertEquals(headerOf(response, "content-type"), isProblem ? "application/problem+json" : "application/json");
    return { status: response.status, json: JSON.parse(textOf(response)), response };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.events.close();
    await this.server.stop();
  }
}

function notPersisted(error: unknown): never {
  throw new NotPersistedError(error);
}
