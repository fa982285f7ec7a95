/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
// Takes and gives back leases as one isolate of several; posts "done" when all are back.
import { SharedState } from "../../../src/pool/shared_state.ts";

self.onmessage = (
  event: MessageEvent<{ buffer: SharedArrayBuffer; isolates: number; isolate: number; leases: number }>,
) => {
  const { buffer, isolates, isolate, leases } = event.data;
  const shared = SharedState.attach(buffer, isolates, isolate);
  for (let lease = 0; lease < leases; lease++) {
    const slot = shared.takeTurn() % 3;
    shared.openConnection(slot);
    shared.requestStarted();
    shared.closeConnection(slot);
    shared.requestEnded();
  }
  self.postMessage("done");
};
