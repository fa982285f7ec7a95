/** Reads a response that goes on for long: one JSON value a line, as watches and event streams of several APIs send it. */

import { messageOf } from "../errors.ts";
import type { Clock } from "../net/clock.ts";
import { SourceError } from "./source.ts";
import { parseJson, TextBuffer } from "./text_buffer.ts";
import { nextTurn } from "../net/next_turn.ts";

/** What is read at most. A server that lies or fails must not take all memory or wait for ever. */
export interface JsonLinesLimits {
  /** Of one line. */
  readonly maxLineBytes: number;
  /** Of all lines together. */
  readonly maxBytes: number;
  /** How long no byte may arrive. */
  readonly silenceMs: number;
  readonly clock: Clock;
  /** Ends it, also where the signal of the request does not: see `readJson`. */
  readonly stop: AbortSignal;
}

/**
 * The connection was lost, or no byte has arrived for too long: then it may be dead, which nothing else would show. What
 * had arrived before counts.
 */
export class LostError extends SourceError {}

const NEWLINE = 0x0a;

/** Reads that are ready give the event loop no turn by themselves. So much work is done before it gets one. */
const MOST_BUSY_MS = 5;

/**
 * Yields the value of each line; blank lines are passed over. Ends with the body. Leaving the loop cancels the body.
 *
 * @throws {LostError} when the connection is lost, in a line or between two, and when no byte arrives for too long
 * @throws {SourceError} for a line that is too long or no JSON, and for too many bytes
 */
export async function* jsonLines(
  body: ReadableStream<Uint8Array>,
  limits: JsonLinesLimits,
): AsyncGenerator<unknown, void> {
  const reader = body.getReader();
  const line = new TextBuffer("a line", limits.maxLineBytes);
  let bytesLeft = limits.maxBytes;
  let turnAt = performance.now();
  try {
    for (let chunk = await read(reader, limits); chunk !== undefined; chunk = await read(reader, limits)) {
      if ((bytesLeft -= chunk.length) < 0) throw new SourceError(`got more than ${limits.maxBytes} bytes`);
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
        line.push(chunk.subarray(start, end));
        start = end + 1;
        const text = line.take();
        if (text !== "") yield parseJson(text);
        if (performance.now() - turnAt > MOST_BUSY_MS) {
          await nextTurn();
          turnAt = performance.now();
        }
      }
      line.push(chunk.subarray(start));
    }
    if (line.take() !== "") throw new LostError("the response ended within a line");
  } finally {
    // Not awaited: a cancelled body of a dead connection may settle late, and nobody needs to know.
    reader.cancel().catch(() => {});
  }
}

/** The next chunk; `undefined` at the end. */
async function read(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { silenceMs, clock, stop }: JsonLinesLimits,
): Promise<Uint8Array | undefined> {
  const silence = Promise.withResolvers<never>();
  const cancel = clock.after(silenceMs, () => {
    silence.reject(new LostError(`nothing has arrived for ${Math.round(silenceMs / 1000)} s`));
  });
  const end = () => silence.reject(stop.reason);
  stop.addEventListener("abort", end);
  try {
    stop.throwIfAborted();
    return (await Promise.race([reader.read(), silence.promise])).value;
  } catch (error) {
    if (error instanceof LostError) throw error;
    throw new LostError(`the connection was lost: ${messageOf(error)}`, { cause: error });
  } finally {
    cancel();
    stop.removeEventListener("abort", end);
  }
}
