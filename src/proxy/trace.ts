/** W3C Trace Context: reads `traceparent`, and starts a trace if there is none. */

import type { RandomHex } from "./ids.ts";

const TRACE_ID = 3; // "00-" comes before
const PARENT_ID = 36;
const FLAGS = 53;
const LENGTH = 55;

/**
 * The trace id in a `traceparent`; `undefined`: it is malformed. Two joined values are malformed, too. Versions later
 * than 00 may have more at the end (W3C Trace Context §3.2.4).
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

/** Returns the `traceparent` of a new, sampled trace with this id. */
export function startTrace(traceId: string, random: RandomHex): string {
  return `00-${traceId}-${random.take(8)}-01`;
}

/** Whether the characters are lower-case hexadecimal digits. Upper case is malformed. */
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
