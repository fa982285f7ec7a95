/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
// Takes and gives back leases as one isolate of several; posts "done" when all are back.
import type { Shared } from "../../../src/memory/arena.ts";
import { Memory } from "../../../src/memory/memory.ts";

self.onmessage = (event: MessageEvent<{ shared: Shared; leases: number }>) => {
  const { shared, leases } = event.data;
  const memory = Memory.attach(shared);
  const { connections, requests } = memory;
  const { cells } = memory.pool(0);
  for (let lease = 0; lease < leases; lease++) {
    const slot = cells.takeTurn() % 3;
    connections.open(slot);
    requests.started();
    connections.close(slot);
    requests.ended();
  }
  self.postMessage("done");
};
