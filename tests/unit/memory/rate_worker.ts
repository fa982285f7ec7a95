/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
// Asks for few keys as often as it can, and for others between them, as one isolate of two; posts how many of the few
// keys' requests were allowed.

import { RateKeys } from "../../../src/guards/rate_key.ts";
import { rateLimitOf } from "../../../src/memory/rate_share.ts";
import { RateTable } from "../../../src/memory/rate_table.ts";

export interface HammerRates {
  readonly buffer: SharedArrayBuffer;
  /** Both isolates begin when both have come. */
  readonly gate: SharedArrayBuffer;
  readonly isolate: number;
  readonly nowMs: number;
  readonly burst: number;
  readonly keys: number;
  readonly rounds: number;
}

self.onmessage = ({ data }: MessageEvent<HammerRates>) => {
  const { buffer, isolate, nowMs, burst, keys: few, rounds } = data;
  const table = new RateTable(buffer, isolate);
  const keys = new RateKeys(table.seed);
  const limit = rateLimitOf(1, 86_400_000, burst);
  const gate = new Int32Array(data.gate);
  Atomics.add(gate, 0, 1);
  Atomics.notify(gate, 0);
  while (Atomics.load(gate, 0) < 2) Atomics.wait(gate, 0, 1, 1000);
  let allowed = 0;
  for (let round = 0; round < rounds; round++) {
    keys.ofText(`few ${round % few}`);
    if (table.take(keys, limit, nowMs) >= 0) allowed++;
    if (round % 4 !== 0) continue;
    keys.ofText(`other ${isolate} ${round % 8000}`);
    table.take(keys, limit, nowMs);
  }
  self.postMessage(allowed);
};
