/**
 * A load generator: GET at a fixed rate over a number of connections, whether answers come or not (an open loop). A
 * request that finds every connection busy waits for one, and its waiting counts. Prints a `FixedRateResult` as JSON.
 *
 *     deno run --allow-net fixed_rate.ts JSON
 */
import { percentile } from "../statistics.ts";
import { Connection, getRequest } from "./connection.ts";
import { Pace } from "./pace.ts";

/** What the argument holds. */
export interface FixedRateOptions {
  readonly port: number;
  readonly path: string;
  readonly perSecond: number;
  readonly seconds: number;
  /** At the beginning; its requests are sent but not timed. */
  readonly warmUpSeconds: number;
  readonly connections: number;
  /** When to begin, in milliseconds since 1970; default: as soon as the connections are open. */
  readonly beginAt?: number;
}

/** What is printed. */
export interface FixedRateResult {
  /** All that were sent, those of the warm-up and failed ones included. */
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** When requests failed (a status of 400 and above counts), in milliseconds since 1970; at most 100,000. */
  readonly failedAt: readonly number[];
  /** How often each answer came, by its body; failed ones are left out. */
  readonly bodies: Readonly<Record<string, number>>;
}

/** No answer by then is a failure. */
const timeoutMs = 5_000;
const sweepMs = 250;
const keptFailures = 100_000;

/** A connection, and since when it waits for an answer. */
interface Slot {
  connection: Connection | undefined;
  busySince: number | undefined;
}

/** One run. */
class Generator {
  readonly #options: FixedRateOptions;
  readonly #request: Uint8Array;
  /** In all, and those of the warm-up. */
  readonly #count: number;
  readonly #untimed: number;
  readonly #slots: Slot[];
  readonly #idle: Slot[];
  readonly #waiting: [index: number, since: number][] = [];
  readonly #latencies: number[] = [];
  readonly #failedAt: number[] = [];
  readonly #bodies: Record<string, number> = {};
  readonly #allDone = Promise.withResolvers<void>();
  #done = 0;
  #beganAt = 0;

  private constructor(options: FixedRateOptions, connections: readonly Connection[]) {
    this.#options = options;
    this.#request = getRequest(options.port, options.path);
    this.#count = Math.round(options.perSecond * (options.warmUpSeconds + options.seconds));
    this.#untimed = Math.round(options.perSecond * options.warmUpSeconds);
    this.#slots = connections.map((connection) => ({ connection, busySince: undefined }));
    this.#idle = [...this.#slots];
  }

  /** Opens the connections. */
  static async prepare(options: FixedRateOptions): Promise<Generator> {
    const { connections, port } = options;
    return new Generator(options, await Promise.all(Array.from({ length: connections }, () => Connection.open(port))));
  }

  /** Sends every request when it is due, and resolves when each has its answer or has failed. */
  async run(): Promise<FixedRateResult> {
    await pause(Math.max(0, (this.#options.beginAt ?? 0) - Date.now()));
    const sweep = setInterval(() => this.#giveUpSlow(), sweepMs);
    const pace = new Pace(this.#options.perSecond, this.#count);
    this.#beganAt = performance.now();
    while (!pace.isOver) {
      pace.releaseDue(this.#elapsedMs(), (index, since) => this.#send(index, since));
      await pause(1);
    }
    await this.#allDone.promise;
    clearInterval(sweep);
    for (const { connection } of this.#slots) connection?.[Symbol.dispose]();
    return this.#result();
  }

  #send(index: number, since: number): void {
    const slot = this.#idle.shift();
    if (slot === undefined) this.#waiting.push([index, since]);
    else void this.#exchange(slot, index, since);
  }

  async #exchange(slot: Slot, index: number, since: number): Promise<void> {
    slot.busySince = this.#elapsedMs();
    try {
      slot.connection ??= await Connection.open(this.#options.port);
      const { status, start } = await slot.connection.exchange(this.#request);
      if (index >= this.#untimed) this.#latencies.push(this.#elapsedMs() - since);
      if (status >= 400) this.#failedAt.push(Date.now());
      else this.#bodies[start] = (this.#bodies[start] ?? 0) + 1;
    } catch {
      this.#failedAt.push(Date.now());
      slot.connection?.[Symbol.dispose]();
      slot.connection = undefined;
    }
    slot.busySince = undefined;
    if (++this.#done === this.#count) this.#allDone.resolve();
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(slot);
    else void this.#exchange(slot, ...next);
  }

  #giveUpSlow(): void {
    for (const { busySince, connection } of this.#slots) {
      if (busySince !== undefined && this.#elapsedMs() - busySince > timeoutMs) connection?.[Symbol.dispose]();
    }
  }

  #elapsedMs(): number {
    return performance.now() - this.#beganAt;
  }

  #result(): FixedRateResult {
    const sorted = Float64Array.from(this.#latencies).sort();
    return {
      requests: this.#count,
      p50Ms: percentile(sorted, 50),
      p99Ms: percentile(sorted, 99),
      p999Ms: percentile(sorted, 99.9),
      maxMs: percentile(sorted, 100),
      failedAt: this.#failedAt.slice(0, keptFailures),
      bodies: this.#bodies,
    };
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (import.meta.main) {
  const generator = await Generator.prepare(JSON.parse(Deno.args[0] ?? "{}"));
  console.log(JSON.stringify(await generator.run()));
}
