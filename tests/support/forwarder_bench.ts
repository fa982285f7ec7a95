/** A forwarder without sockets: exchanges whose attempts come to what a test says. */

import { assert, assertEquals, assertGreater } from "@std/assert";
import { type ErrorCode, ProxyError, type Side } from "../../src/errors.ts";
import { Holdings } from "../../src/guards/holdings.ts";
import { PassiveHealth } from "../../src/health/passive.ts";
import { passiveLimits } from "../../src/health/passive_rule.ts";
import { configSchema } from "../../src/config/schema.ts";
import type { Backend } from "../../src/pool/backend.ts";
import type { ServerPool } from "../../src/pool/server_pool.ts";
import { Memory } from "../../src/memory/memory.ts";
import type {
  Answer,
  AttemptListener,
  Exchange,
  Limits,
  OwnAnswer,
  Relayed,
  RequestCopies,
  SentRequest,
} from "../../src/proxy/exchange.ts";
import { clientGone } from "../../src/failures.ts";
import { ForwardedTrust } from "../../src/proxy/forwarded.ts";
import { Forwarder } from "../../src/proxy/forwarder.ts";
import { RandomHex } from "../../src/proxy/ids.ts";
import type { HeaderPair, RequestHead } from "../../src/proxy/message.ts";
import { type QueueLimits, RequestQueue } from "../../src/pool/queue.ts";
import { RequestRecorder } from "../../src/proxy/record.ts";
import { type ForwarderParts, type ForwardingRules, forwardingRules } from "../../src/proxy/rules.ts";
import { PoolRuntime } from "../../src/routing/pool_runtime.ts";
import { RecordingLog } from "./log.ts";
import { poolOf } from "./pool.ts";

/** What one attempt comes to: a status that is relayed so, or a failure. `undefined`: the client leaves meanwhile. */
export type Outcome = { readonly status: number; readonly relayed?: Partial<Relayed> } | Error | undefined;

export function failure(code: ErrorCode, requestSent = true, side: Side = "backend"): ProxyError {
  return new ProxyError(`test: ${code}`, { code, side, requestSent });
}

export const OK: Outcome = { status: 200 };
export const LOST = failure("connection_lost");
export const REFUSED = failure("connect_failed", false);

/** A request without sockets; each attempt takes the next outcome, and the last one again and again. */
export class FakeExchange implements Exchange {
  readonly request: RequestHead;
  brokenOff: ProxyError | undefined;
  readonly bytesIn = 0;
  replayable = true;
  copies: RequestCopies | undefined;
  /** Everything that the forwarder did, in order: backends by their URLs' last digit. */
  readonly story: string[] = [];
  /** What it was to keep to. */
  limits: Limits | undefined;
  /** What each attempt was to send. */
  readonly sent: { readonly backend: Backend; readonly target: string; readonly headers: readonly HeaderPair[] }[] = [];
  /** What the client was sent. */
  headers: readonly HeaderPair[] = [];
  problem: OwnAnswer | undefined;
  /** Makes the client leave while the request is being decided about. */
  leave: () => void = () => {};
  /** Called before an attempt's outcome. */
  meanwhile: (backend: Backend) => void | Promise<void> = () => {};
  readonly #outcomes: Outcome[];

  constructor(outcomes: readonly Outcome[], head: Partial<RequestHead> = {}) {
    this.#outcomes = [...outcomes];
    this.request = {
      method: "GET",
      target: "/",
      authority: "x",
      headers: [],
      bodyBytes: 0,
      peer: "192.0.2.1",
      protocol: "HTTP/1.1",
      secure: false,
      ...head,
    };
  }

  keepTo(limits: Limits): void {
    assertEquals([this.limits, this.story], [undefined, []], "once, before all else");
    this.limits = limits;
  }

  onBreakOff(listener: () => void): void {
    this.leave = () => {
      this.brokenOff = clientGone();
      listener();
    };
  }

  attempt(sent: SentRequest, listener: AttemptListener): void {
    this.#ask(sent).then((answer) => listener.answered(answer), (error) => listener.failed(error));
  }

  async #ask({ backend, target, headers }: SentRequest): Promise<Answer> {
    assert(this.limits !== undefined);
    this.sent.push({ backend, target, headers });
    assertGreater(backend.currentConnections, 0, "it counts while it is there");
    this.story.push(backend.url.slice(-1));
    await Promise.resolve();
    await this.meanwhile(backend);
    const outcome = this.#outcomes.length > 1 ? this.#outcomes.shift() : this.#outcomes[0];
    if (outcome === undefined) throw this.brokenOff = clientGone();
    if (outcome instanceof Error) throw outcome;
    const { status, relayed } = outcome;
    return {
      status,
      headers: [],
      relay: async (headers, listener) => {
        await Promise.resolve();
        this.headers = headers;
        this.story.push(`relay ${status}`);
        listener.relayed({ bytesOut: 0, failure: undefined, ...relayed });
      },
      discard: () => void this.story.push(`discard ${status}`),
    };
  }

  async answer(problem: OwnAnswer): Promise<void> {
    await Promise.resolve();
    this.problem = problem;
    this.story.push(`answer ${problem.status}`);
  }
}

export interface BenchSettings {
  readonly backends?: number;
  readonly rules?: Partial<ForwardingRules>;
  readonly limits?: Partial<Limits>;
  readonly queue?: Partial<QueueLimits>;
  readonly retryShare?: number;
}

/** What tests change of the pool that requests go to. */
interface RuntimeSettings extends Pick<BenchSettings, "queue" | "retryShare"> {
  readonly pool?: ServerPool;
  /** The name of the sessions' cookie; there are no sessions without one. */
  readonly cookie?: string;
}

/** A forwarder with real backends' counts, queue and passive health, and no sockets. */
export class Bench implements Disposable {
  readonly shared = Memory.allocate().pool(0);
  readonly pool;
  readonly log = new RecordingLog();
  readonly holdings = new Holdings();
  readonly parts: ForwarderParts;
  readonly forwarder: Forwarder;
  readonly #queue = new RequestQueue(this.shared.line, this.shared.memory.metrics);
  readonly #passive: PassiveHealth;

  constructor({ backends = 2, rules, limits, ...runtime }: BenchSettings = {}) {
    const { shared, log } = this;
    this.pool = poolOf(Array<number>(backends).fill(1), shared);
    const config = configSchema.parse({});
    this.#passive = new PassiveHealth({ pool: this.pool, limits: passiveLimits(config) });
    const usual = forwardingRules(config, { limits: shared.memory.limits, holdings: this.holdings, pools: new Map() });
    this.parts = {
      route: {
        pool: this.runtime(runtime),
        rules: { ...usual, maxRetries: 2, limits: { ...usual.limits, ...limits }, ...rules },
      },
      routes: undefined,
      trust: new ForwardedTrust([]),
      recorder: new RequestRecorder({ memory: shared.memory, routes: [], accessLog: undefined }),
      random: new RandomHex(),
      log,
    };
    this.forwarder = new Forwarder(this.parts);
  }

  /** The pool as requests see it under a configuration. */
  runtime({ pool = this.pool, queue, retryShare = 0.2, cookie }: RuntimeSettings): PoolRuntime {
    const sticky = cookie === undefined ? null : { by: "cookie" as const, cookie };
    const settings = configSchema.parse({ sticky, queue: { size: 10, timeout: 50, hold: 0 } });
    return new PoolRuntime({
      name: "default",
      pool,
      settings: { ...settings, queue: { ...settings.queue, ...queue } },
      retryShare,
      queue: this.#queue,
      sessions: undefined,
      passive: this.#passive,
    });
  }

  /** Handles the exchange, and proves that nothing of it is left. */
  async tell(exchange: FakeExchange): Promise<string> {
    await this.forwarder.handle(exchange);
    this.mustBeIdle();
    return exchange.story.join(", ");
  }

  mustBeIdle(): void {
    const { active, queued } = this.shared.memory.requestTotals();
    assertEquals([active, queued, this.shared.line.holding()], [0, 0, 0]);
    for (const { slot, currentConnections } of this.pool.backends) {
      assertEquals(
        [currentConnections, this.shared.memory.connections.isIdle(slot)],
        [0, true],
        "each lease is released once",
      );
    }
  }

  [Symbol.dispose](): void {
    this.holdings[Symbol.dispose]();
    this.#passive.stop();
  }
}
