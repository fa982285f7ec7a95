/**
 * The time, read once for all that runs in one turn of the microtask queue: two readings cost as much as a pick and a
 * lease together, and a request would need six of them. All requests that are ready together share one. So a time may
 * be early by as long as their work takes, which is less than it takes until all of them have had their turn.
 */

let monotonicMs = 0;
let epochMs = 0;
let isFresh = false;

/** Like `performance.now()`. */
export function turnNow(): number {
  if (!isFresh) read();
  return monotonicMs;
}

/** Like `Date.now()`. */
export function turnEpoch(): number {
  if (!isFresh) read();
  return epochMs;
}

function read(): void {
  monotonicMs = performance.now();
  epochMs = Date.now();
  isFresh = true;
  queueMicrotask(forget);
}

function forget(): void {
  isFresh = false;
}
