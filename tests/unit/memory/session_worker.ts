/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
// Finds and binds sessions of few clients as one isolate of two; posts how many it found, and the wrong ones.
import { SessionTable } from "../../../src/memory/session_table.ts";
import { capacityOf, sizeOf } from "./session_faults.ts";

/** Every binding says whose it is twice over, so that halves of two bindings don't pass for one. */
const GENERATIONS = 1000;

self.onmessage = (
  event: MessageEvent<
    { buffer: SharedArrayBuffer; gate: SharedArrayBuffer; isolate: number; clients: number; rounds: number }
  >,
) => {
  const { buffer, gate, isolate, clients, rounds } = event.data;
  const table = SessionTable.attach({ buffer, timeoutMs: 1e6 }, isolate);
  const here = new Int32Array(gate);
  Atomics.add(here, 0, 1);
  while (Atomics.load(here, 0) < 2) Atomics.pause(); // begin together

  let found = 0;
  const wrong: string[] = [];
  let random = isolate;
  for (let round = 0; round < rounds; round++) {
    if (round % 1000 === 0) Atomics.add(here, 1, 1); // getting on
    random = Math.imul(random, 1664525) + 1013904223 >>> 0; // the generator of Numerical Recipes
    const client = (random >>> 16) % clients;
    const address = `10.0.0.${client}`;
    const place = table.find(address, round);
    if (place !== undefined) {
      found++;
      const { slot, generation } = place;
      if (Math.floor(slot / GENERATIONS) !== client || generation !== slot % GENERATIONS) {
        wrong.push(`${address} at ${slot}, ${generation}`);
      }
    }
    const generation = round % GENERATIONS;
    if (place === undefined || round % 3 === 0) {
      table.bind(address, client * GENERATIONS + generation, generation, round);
    }
    if (sizeOf(table) > capacityOf(table)) wrong.push(`${sizeOf(table)} entries`);
  }
  self.postMessage({ found, wrong: wrong.slice(0, 5) });
};
