/** The changes of the pool as server-sent events: remembers the latest, and sends them to whoever listens. */

import type { PoolEvent, ServerPool } from "../pool/server_pool.ts";
import type { ReloadReport } from "./reload_report.ts";

/** What an `EventFeed` works with. */
export interface EventFeedOptions {
  readonly pool: ServerPool;
  /** The object of `GET /status`; asked for each second while somebody listens. */
  readonly status: () => unknown;
  /** Names this process in the ids of its events: those of an earlier one mean nothing here. Default: a random one. */
  readonly processId?: string;
  /** Default: 1000. */
  readonly statsEveryMs?: number;
}

/** How many changes are remembered for clients that come back. */
export const EVENTS_KEPT = 1000;

/** The most streams at once. */
export const MAX_STREAMS = 100;

/** The names of the events. What an operator asked for is a change like that of a weight. */
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

const encoder = new TextEncoder();

/**
 * Numbers the changes from 1 and keeps the last of them. Streams hold no queue of their own but a place in this memory,
 * so a client that does not read costs nothing more; one that falls further behind than the memory goes misses the rest.
 */
export class EventFeed {
  readonly #status: () => unknown;
  readonly #processId: string;
  readonly #statsEveryMs: number;
  readonly #unsubscribe: () => void;
  /** A ring: event n is at n modulo its size. */
  readonly #kept: Uint8Array[] = [];
  readonly #streams = new Set<EventStream>();
  #last = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  constructor(options: EventFeedOptions) {
    this.#status = options.status;
    this.#processId = options.processId ?? crypto.randomUUID().slice(0, 8);
    this.#statsEveryMs = options.statsEveryMs ?? 1000;
    this.#unsubscribe = options.pool.subscribe((event) => this.#poolChanged(event));
  }

  /** The streams that are open. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Whether another stream may be opened. */
  get hasRoom(): boolean {
    return this.#streams.size < MAX_STREAMS;
  }

  /** Tells that the configuration was read again. */
  reloaded(report: ReloadReport): void {
    this.#publish("reload", { ...report, at: new Date().toISOString() });
  }

  /** Tells that all backends serve though all are down (`health.failOpen`), or that this has ended. */
  failingOpen(active: boolean): void {
    this.#publish("fail-open", { active, at: new Date().toISOString() });
  }

  /**
   * Opens a stream: the changes after `lastEventId`, then `stats` at once and each second, and changes as they happen.
   * Without an id it begins with the next change; with one of another process, or of an event forgotten since, with the
   * oldest that is remembered. Ends when `signal` fires, when it is cancelled and when the feed closes.
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

  /** Ends all streams, and those that are opened from now on at once. */
  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    for (const stream of this.#streams) stream.end();
  }

  #poolChanged({ type, backend, reason, at }: PoolEvent): void {
    const { url, id, state } = backend;
    this.#publish(EVENT_NAMES[type], { backend: url, id, reason, at, state });
  }

  #publish(name: string, data: unknown): void {
    const number = ++this.#last;
    this.#kept[number % EVENTS_KEPT] = format(name, data, `${this.#processId}-${number}`);
    for (const stream of this.#streams) stream.flush();
  }

  /** The number of the event that a client had last. */
  #placeAfter(lastEventId: string | undefined): number {
    if (lastEventId === undefined) return this.#last;
    const [, processId, digits] = /^(.+)-(\d{1,15})$/.exec(lastEventId) ?? [];
    const number = Number(digits);
    return processId === this.#processId && number <= this.#last ? number : 0;
  }

  /** The first event after the one at `place` that is remembered, and its own place. */
  #next(place: number): readonly [event: Uint8Array, place: number] | undefined {
    const number = Math.max(place + 1, this.#last - EVENTS_KEPT + 1);
    const event = number > this.#last ? undefined : this.#kept[number % EVENTS_KEPT];
    return event && [event, number];
  }

  #sendStats(): void {
    const stats = this.#stats();
    for (const stream of this.#streams) stream.offerStats(stats);
  }

  /** Without an id: `stats` are not remembered, and a client that comes back names the last change it saw. */
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

/** What a stream asks of its feed. */
interface Source {
  readonly event: (place: number) => readonly [event: Uint8Array, place: number] | undefined;
  readonly ended: () => void;
}

/** One client's stream. What is to be sent is looked for when the client can take it; only the latest `stats` count. */
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

  /** Takes the place of `stats` that could not be sent yet. */
  offerStats(stats: Uint8Array): void {
    this.#stats = stats;
    this.flush();
  }

  /** Sends what there is, as far as the client takes it. */
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

  /** May be called again. */
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

/** JSON has no line breaks, so the data is one line. */
function format(name: string, data: unknown, id?: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(`${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}
