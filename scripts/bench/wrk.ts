/** Load at full speed by `wrk`, which asks again on each connection as soon as it has its answer. */
import { type Launch, run } from "./processes.ts";

/** What to ask for. */
export interface WrkRequest {
  readonly url: string;
  /** A body makes it a POST. */
  readonly bodyBytes?: number;
  readonly headers?: readonly (readonly [name: string, value: string])[];
}

/** How hard and how long. */
export interface WrkLoad {
  readonly connections: number;
  readonly seconds: number;
}

/** What `wrk` counted. */
export interface WrkResult {
  readonly requests: number;
  readonly durationMicros: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly p999Micros: number;
  /** Answers with a status of 400 and above. */
  readonly badAnswers: number;
  /** Connections that failed, broke or gave no answer in time. */
  readonly socketErrors: number;
}

/** A slower answer counts as an error. */
const timeoutSeconds = 10;
/** Beyond the load itself; `wrk` first waits for answers under way. */
const graceSeconds = 20;

/** Applies the load once. `directory` takes the script that tells `wrk` what to send. */
export async function applyLoad(
  program: string,
  request: WrkRequest,
  { connections, seconds }: WrkLoad,
  directory: string,
  signal: AbortSignal,
): Promise<WrkResult> {
  const script = `${directory}/wrk.lua`;
  await Deno.writeTextFile(script, wrkScript(request));
  const threads = Math.min(connections, navigator.hardwareConcurrency >= 4 ? 2 : 1); // a second one would get in the way
  const args = [
    ...["-t", threads, "-c", connections, "-d", seconds, "--timeout", timeoutSeconds],
    ...["--latency", "-s", script, request.url],
  ].map(String);
  const launch: Launch = { command: program, args };
  const limit = AbortSignal.timeout((seconds + graceSeconds) * 1_000);
  return parseWrk((await run(launch, AbortSignal.any([signal, limit]))).stdout);
}

/**
 * What `wrk` runs: the request, made once, and at the end its counts as JSON, exact figures instead of text for people.
 * Nothing in it runs for each request.
 */
export function wrkScript({ bodyBytes, headers = [] }: WrkRequest): string {
  const lines = headers.map(([name, value]) => `wrk.headers[${lua(name)}] = ${lua(value)}`);
  if (bodyBytes !== undefined) lines.push(`wrk.method = "POST"`, `wrk.body = string.rep("x", ${bodyBytes})`);
  return `${lines.join("\n")}
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"durationMicros":%d,"p50Micros":%d,"p99Micros":%d,"p999Micros":%d,' ..
    '"badAnswers":%d,"socketErrors":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
`;
}

/** Reads what `wrk` printed with the script; throws with what it said when it measured nothing. */
export function parseWrk(stdout: string): WrkResult {
  const json = stdout.slice(stdout.lastIndexOf("\n{") + 1);
  if (!json.startsWith("{")) throw new Error(`wrk gave no figures: ${stdout.trim().split("\n").at(-1) ?? ""}`);
  return JSON.parse(json); // as wrkScript writes it
}

function lua(text: string): string {
  return JSON.stringify(text);
}
