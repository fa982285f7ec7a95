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

async function generate(options: FixedRateOptions): Promise<FixedRateResult> {
  const request = getRequest(options.port, options.path);
  const count = Math.round(options.perSecond * (options.warmUpSeconds + options.seconds));
  const firstTimed = Math.round(options.perSecond * options.warmUpSeconds);
  const latencies: number[] = [];
  const failedAt: number[] = [];
  const bodies: Record<string, number> = {};
  const waiting: [index: number, since: number][] = [];
  const allDone = Promise.withResolvers<void>();
  let done = 0;

  const slots = await Promise.all(Array.from({ length: options.connections }, async (): Promise<Slot> => {
    return { connection: await Connection.open(options.port), busySince: undefined };
  }));
  const idle = [...slots];
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, (options.beginAt ?? 0) - Date.now())));
  const pace = new Pace(options.perSecond, count);
  const begin = performance.now();
  const elapsed = () => performance.now() - begin;

  async function serve(slot: Slot, index: number, since: number): Promise<void> {
    slot.busySince = elapsed();
    try {
      slot.connection ??= await Connection.open(options.port);
      const { status, start } = await slot.connection.exchange(request);
      if (index >= firstTimed) latencies.push(elapsed() - since);
      if (status >= 400) failedAt.push(Date.now());
      else bodies[start] = (bodies[start] ?? 0) + 1;
    } catch {
      failedAt.push(Date.now());
      slot.connection?.[Symbol.dispose]();
      slot.connection = undefined;
    }
    slot.busySince = undefined;
    if (++done === count) allDone.resolve();
    const next = waiting.shift();
    if (next === undefined) idle.push(slot);
    else void serve(slot, ...next);
  }

  const sweep = setInterval(() => {
    for (const { busySince, connection } of slots) {
      if (busySince !== undefined && elapsed() - busySince > timeoutMs) connection?.[Symbol.dispose]();
    }
  }, sweepMs);
  while (!pace.isOver) {
    pace.releaseDue(elapsed(), (index, since) => {
      const slot = idle.shift();
      if (slot === undefined) waiting.push([index, since]);
      else void serve(slot, index, since);
    });
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await allDone.promise;
  clearInterval(sweep);
  for (const { connection } of slots) connection?.[Symbol.dispose]();

  const sorted = Float64Array.from(latencies).sort();
  const [p50Ms = NaN, p99Ms = NaN, p999Ms = NaN, maxMs = NaN] = [50, 99, 99.9, 100].map((percent) =>
    percentile(sorted, percent)
  );
  return { requests: count, p50Ms, p99Ms, p999Ms, maxMs, failedAt: failedAt.slice(0, keptFailures), bodies };
}

if (import.meta.main) console.log(JSON.stringify(await generate(JSON.parse(Deno.args[0] ?? "{}"))));
