/** One measurement: load on a proxy for some seconds, and what that cost it. */
import { type Launch, processTree, run, statFields } from "./processes.ts";

/** The load of every measurement. */
export interface Load {
  /** The load generator's path. */
  readonly wrk: string;
  readonly threads: number;
  readonly connections: number;
  readonly seconds: number;
  /** Load before the clock starts, so that caches are warm and code is compiled. */
  readonly warmUpSeconds: number;
}

/** What went wrong under load; all 0 in a run worth its name. */
export interface Troubles {
  /** Answers with a status of 400 and above. */
  readonly badAnswers: number;
  /** Connections that failed, broke or gave no answer in time. */
  readonly socketErrors: number;
}

/** What one measurement found. */
export interface Sample extends Troubles {
  readonly requests: number;
  /** CPU time of the proxy and its children, user and system, per answered request. */
  readonly cpuMicrosPerRequest: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time per wall-clock time: 1 is one core kept busy. Well below 1, the proxy was not what limited the load. */
  readonly coresBusy: number;
  /** Resident memory of the proxy and its children after the load. */
  readonly rssMiB: number;
}

/** What `wrk` counted, in microseconds where it is time. */
interface LoadResult extends Troubles {
  readonly requests: number;
  readonly duration: number;
  readonly p50: number;
  readonly p99: number;
}

/** Has `wrk` print its counts as JSON: exact figures instead of text for people. Runs once, after the load. */
const wrkScript = `
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"duration":%d,"p50":%d,"p99":%d,"badAnswers":%d,"socketErrors":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
`;

/** Makes the function that measures; its files go to `directory`. */
export async function createMeasure(
  load: Load,
  directory: string,
  signal: AbortSignal,
): Promise<(pid: number, url: string) => Promise<Sample>> {
  const script = `${directory}/report.lua`;
  await Deno.writeTextFile(script, wrkScript);
  const ticksPerSecond = Number((await run({ command: "getconf", args: ["CLK_TCK"] }, signal)).stdout);

  async function apply(url: string, seconds: number): Promise<LoadResult> {
    const { threads, connections } = load;
    const args = ["-t", threads, "-c", connections, "-d", seconds, "--latency", "-s", script, url].map(String);
    const launch: Launch = { command: load.wrk, args };
    const { stdout } = await run(launch, AbortSignal.any([signal, AbortSignal.timeout((seconds + 20) * 1_000)]));
    return JSON.parse(stdout.slice(stdout.lastIndexOf("\n{"))); // as wrkScript writes it
  }

  return async (pid, url) => {
    await apply(url, load.warmUpSeconds);
    const cpuBefore = cpuTicks(pid);
    const startedAt = performance.now();
    const result = await apply(url, load.seconds);
    const elapsedSeconds = (performance.now() - startedAt) / 1_000;
    const cpuSeconds = (cpuTicks(pid) - cpuBefore) / ticksPerSecond;
    return {
      requests: result.requests,
      cpuMicrosPerRequest: cpuSeconds * 1e6 / result.requests,
      requestsPerSecond: result.requests / (result.duration / 1e6),
      p50Ms: result.p50 / 1_000,
      p99Ms: result.p99 / 1_000,
      coresBusy: cpuSeconds / elapsedSeconds,
      rssMiB: residentKiB(pid) / 1_024,
      badAnswers: result.badAnswers,
      socketErrors: result.socketErrors,
    };
  };
}

/** CPU time of a process and its descendants so far, those that have ended included. */
function cpuTicks(root: number): number {
  let ticks = 0;
  for (const pid of processTree(root)) {
    // From the third field on: utime, stime, and the same of children that have ended.
    for (const field of statFields(pid)?.slice(11, 15) ?? []) ticks += Number(field);
  }
  return ticks;
}

function residentKiB(root: number): number {
  let total = 0;
  for (const pid of processTree(root)) {
    try {
      total += Number(/^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1] ?? 0);
    } catch {
      // ended meanwhile
    }
  }
  return total;
}
