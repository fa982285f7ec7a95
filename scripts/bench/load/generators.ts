/** Starts our own load generators, each in a process of its own, so that their CPU time is not mixed with ours. */
import { run } from "../processes.ts";
import type { FixedRateOptions, FixedRateResult } from "./fixed_rate.ts";
import type { WebSocketOptions, WebSocketResult } from "./websocket.ts";

/** GET at a fixed rate. */
export function applyFixedRate(options: FixedRateOptions, signal: AbortSignal): Promise<FixedRateResult> {
  return generator("fixed_rate.ts", options, options.seconds + options.warmUpSeconds, signal);
}

/** WebSocket messages, each connection sending the next as soon as it has the echo of the last. */
export function applyWebSocket(options: WebSocketOptions, signal: AbortSignal): Promise<WebSocketResult> {
  return generator("websocket.ts", options, options.seconds, signal);
}

/** Beyond the load itself. */
const graceSeconds = 20;

async function generator<Result>(
  file: string,
  options: unknown,
  seconds: number,
  signal: AbortSignal,
): Promise<Result> {
  const script = new URL(file, import.meta.url).pathname;
  const args = ["run", "--quiet", "--no-config", "--allow-net=127.0.0.1", script, JSON.stringify(options)];
  const limit = AbortSignal.timeout((seconds + graceSeconds) * 1_000);
  const { stdout } = await run({ command: Deno.execPath(), args }, AbortSignal.any([signal, limit]));
  return JSON.parse(stdout); // as the script prints it
}
