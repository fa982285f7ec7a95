/** The changes of the pool as server-sent events. Keeps the latest, and sends them to all open streams. */

import type { PoolEvent } from "../pool/server_pool.ts";
import type { CertificateListener } from "../tls/store.ts";
import type { ReloadReport } from "./reload_report.ts";

/** What an `EventFeed` works with. */
export interface EventFeedOptions {
  /** The object of `GET /status`; called each second while a stream is open. */
  readonly status: () => unknown;
  /** Identifies this process in the ids of its events. Ids of an earlier process are not valid. Default: random. */
  readonly processId?: string;
  /** Default: 1000. */
  readonly statsEveryMs?: number;
}

/** How many changes are kept for clients that reconnect. */
export const EVENTS_KEPT = 1000;

/** The most streams at once. */
export const MAX_STREAMS = 100;

/** The names of the events. A change of the state is a change like that of a weight. */
const EVENT_NAMES = {
  added: "backend-added",
  removed: "backend-removed",
  up: "backend-up",
  down: "backend-down",
  changed: "backend-changed",
  active: "backend-changed",
  draining: "backend-changed",
  disabled: "backend-changed",
} as const satisfies Record<PoolEvent["type"], string>;

/** `begun`: it waits for its new backends. `switched`: the old ones drain. `ended`: before that, or not as asked. */
export type DeploymentPhase = "begun" | "switched" | "done" | "ended";

const encoder = new TextEncoder();

/**
 * Numbers the changes from 1 and keeps the latest. A stream has no queue of its own, only a position in this list. So a
 * client that does not read costs no memory. A client that falls too far behind misses changes.
 */
export class EventFeed {
  readonly #status: () => unknown;
  readonly #processId: string;
  readonly #statsEveryMs: number;
  /** A ring: event n is at n modulo the size. */
  readonly #kept: Uint8Array[] = [];
  readonly #streams = new Set<EventStream>();
  #last = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  constructor(options: EventFeedOptions) {
    this.#status = options.status;
    this.#processId = options.processId ?? crypto.randomUUID().slice(0, 8);
    this.#statsEveryMs = options.statsEveryMs ?? 1000;
  }

  /** The open streams. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Whether another stream may be opened. */
  get hasRoom(): boolean {
    return this.#streams.size < MAX_STREAMS;
  }

  /** Sends what happened to a backend of the pool with this name. */
  poolChanged(pool: string, { type, backend, reason, at }: PoolEvent): void {
    const { url, id, state } = backend;
    this.#publish(EVENT_NAMES[type], { backend: url, pool, id, reason, at, state });
  }

  /** Sends that the configuration was read again. */
  reloaded(report: ReloadReport): void {
    this.#publishNow("reload", { ...report });
  }

  /** Sends that all backends of a pool serve although all are down (`health.failOpen`), or that this has ended. */
  failingOpen(pool: string, active: boolean): void {
    this.#publishNow("fail-open", { pool, active });
  }

  /** Sends that the source of a pool's backends has begun to fail, or is back. */
  sourceChanged(pool: string, fields: Readonly<Record<string, unknown>>, ok: boolean): void {
    this.#publishNow(ok ? "discovery-recovered" : "discovery-failed", { pool, ...fields });
  }

  /** Sends that the store of the replicas is away. */
  storeLost(error: string): void {
    this.#publishNow("cluster-lost", { error });
  }

  /** Sends that the store of the replicas is back. */
  storeRecovered(): void {
    this.#publishNow("cluster-recovered", {});
  }

  /** Sends what happens to certificates. */
  readonly certificates: CertificateListener = {
    changed: ({ names, expires }) => this.#publishNow("certificate-changed", { names, expires }),
    expires: ({ names, expires }, remedy) => this.#publishNow("certificate-expires", { names, expires, remedy }),
    failed: (source, error) => this.#publishNow("certificate-failed", { source, error }),
  };

  /** Sends that a split has other weights. */
  splitMoved(split: Readonly<Record<string, unknown>>): void {
    this.#publishNow("route-changed", { ...split });
  }

  /** Sends what a deployment to a pool does. */
  deployment(pool: string, phase: DeploymentPhase, fields: Readonly<Record<string, unknown>>): void {
    this.#publishNow("deployment", { pool, phase, ...fields });
  }

  /**
   * Opens a stream. It sends the changes after `lastEventId`, then `stats` at once and each second, and changes when
   * they happen. Without an id it begins with the next change. With an id of another process, or of a change that is
   * not kept any more, it begins with the oldest kept change. Ends when `signal` fires, when it is cancelled and when
   * the feed closes.
   */
  open(lastEventId: string | undefined, signal: AbortSignal): ReadableStream<Uint8Array<ArrayBuffer>> {
    const stream = new EventStream(this.#placeAfter(lastEventId), {
      event: (place) => this.#next(place),
      ended: () => this.#left(stream),
    });
    if (this.#closed || signal.aborted) stream.end();
    else {
      this.#streams.add(stream);
      signal.addEventListener("abort", () => stream.end(), { once: true });
      stream.offerStats(this.#stats());
      this.#timer ??= setInterval(() => this.#sendStats(), this.#statsEveryMs);
    }
    return stream.readable;
  }

  /** Ends all streams. Streams that are opened later end at once. */
  close(): void {
    this.#closed = true;
    for (const stream of this.#streams) stream.end();
  }

  #publishNow(name: string, data: Readonly<Record<string, unknown>>): void {
    this.#publish(name, { ...data, at: new Date().toISOString() });
  }

  #publish(name: string, data: unknown): void {
    const number = ++this.#last;
    this.#kept[number % EVENTS_KEPT] = format(name, data, `${this.#processId}-${number}`);
    for (const stream of this.#streams) stream.flush();
  }

  /** The number of the last event that a client has received. */
  #placeAfter(lastEventId: string | undefined): number {
    if (lastEventId === undefined) return this.#last;
    const [, processId, digits] = /^(.+)-(\d{1,15})$/.exec(lastEventId) ?? [];
    const number = Number(digits);
    return processId === this.#processId && number <= this.#last ? number : 0;
  }

  /** The first kept event after `place`, and its place. */
  #next(place: number): readonly [event: Uint8Array, place: number] | undefined {
    const number = Math.max(place + 1, this.#last - EVENTS_KEPT + 1);
    const event = number > this.#last ? undefined : this.#kept[number % EVENTS_KEPT];
    return event && [event, number];
  }

  #sendStats(): void {
    const stats = this.#stats();
    for (const stream of this.#streams) stream.offerStats(stats);
  }

  /**
   * Without an id, because `stats` are not kept. A client that reconnects names the last change that it has received.
   */
  #stats(): Uint8Array<ArrayBuffer> {
    return format("stats", this.#status());
  }

  #left(stream: EventStream): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** What a stream needs from its feed. */
interface Source {
  readonly event: (place: number) => readonly [event: Uint8Array, place: number] | undefined;
  readonly ended: () => void;
}

/** The stream of one client. It looks for events when the client can take them; only the latest `stats` are sent. */
class EventStream {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly #source: Source;
  #place: number;
  #stats: Uint8Array | undefined;
  // Set by `start`, which runs before the stream's constructor returns.
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(place: number, source: Source) {
    this.#place = place;
    this.#source = source;
    this.readable = new ReadableStream({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.flush(),
      cancel: () => this.#leave(),
    });
  }

  /** Replaces `stats` that could not be sent yet. */
  offerStats(stats: Uint8Array): void {
    this.#stats = stats;
    this.flush();
  }

  /** Sends events until the client takes no more. */
  flush(): void {
    while (this.#controller !== undefined && (this.#controller.desiredSize ?? 0) > 0) {
      const next = this.#source.event(this.#place);
      const chunk = next?.[0] ?? this.#stats;
      if (chunk === undefined) return;
      if (next === undefined) this.#stats = undefined;
      else this.#place = next[1];
      this.#controller.enqueue(chunk);
    }
  }

  /** May be called more than once. */
  end(): void {
    this.#controller?.close();
    this.#leave();
  }

  #leave(): void {
    if (this.#controller === undefined) return;
    this.#controller = undefined;
    this.#source.ended();
  }
}

/** One event as text. JSON has no line breaks, so the data is one line. */
function format(name: string, data: unknown, id?: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(`${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}
