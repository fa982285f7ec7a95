/** W3C Trace Context: reading `traceparent`, and starting a trace where there is none. */

import type { RandomHex } from "./ids.ts";

const TRACE_ID = 3; // "00-" comes before
const PARENT_ID = 36;
const FLAGS = 53;
const LENGTH = 55;

/**
 * The trace id in a `traceparent`; `undefined` when it is malformed, which includes two of them joined. A later version
 * than 00 may have more at its end (W3C Trace Context §3.2.4).
 */
export function traceIdOf(traceparent: string): string | undefined {
  const version = traceparent.slice(0, 2);
  if (!isHex(traceparent, 0, 2) || version === "ff") return undefined;
  if (
    traceparent.length < LENGTH || (traceparent.length > LENGTH && (version === "00" || traceparent[LENGTH] !== "-"))
  ) {
    return undefined;
  }
  for (const separator of [TRACE_ID - 1, PARENT_ID - 1, FLAGS - 1]) {
    if (traceparent[separator] !== "-") return undefined;
  }
  if (!isHex(traceparent, TRACE_ID, PARENT_ID - 1) || isZero(traceparent, TRACE_ID, PARENT_ID - 1)) return undefined;
  if (!isHex(traceparent, PARENT_ID, FLAGS - 1) || isZero(traceparent, PARENT_ID, FLAGS - 1)) return undefined;
  return isHex(traceparent, FLAGS, LENGTH) ? traceparent.slice(TRACE_ID, PARENT_ID - 1) : undefined;
}

/** A `traceparent` of a new trace with this id, sampled. */
export function startTrace(traceId: string, random: RandomHex): string {
  return `00-${traceId}-${random.take(8)}-01`;
}

/** Lower case only: upper case is malformed. */
function isHex(text: string, start: number, end: number): boolean {
  for (let index = start; index < end; index++) {
    const code = text.charCodeAt(index);
    if (!((code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66))) return false;
  }
  return true;
}

function isZero(text: string, start: number, end: number): boolean {
  for (let index = start; index < end; index++) {
    if (text.charCodeAt(index) !== 0x30) return false;
  }
  return true;
}
