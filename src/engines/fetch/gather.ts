/** Reads short response bodies completely, for cases in which a stream would do harm. */

import { Compactor } from "./chunk_reader.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A body in one piece, or as a stream. */
export type Gathered = Bytes | ReadableStream<Bytes>;

/** The most bytes that are gathered. */
export const MOST_GATHERED_BYTES = 65_536;

/**
 * Returns a body in one piece if all of it arrives within `patienceMs`. Otherwise returns it as a complete stream.
 * Rejects if it breaks off within that time.
 */
export async function gather(body: ReadableStream<Bytes>, patienceMs: number): Promise<Gathered> {
  const reader = body.getReader();
  const parts: Bytes[] = [];
  const compactor = new Compactor();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, patienceMs, undefined);
  });
  try {
    for (let size = 0; size <= MOST_GATHERED_BYTES;) {
      const reading = reader.read();
      const read = await Promise.race([reading, late]);
      if (read === undefined) return resumed(parts, reader, reading);
      if (read.done) return joined(parts);
      parts.push(compactor.compact(read.value));
      size += read.value.length;
    }
    return resumed(parts, reader);
  } finally {
    clearTimeout(timer);
  }
}

async function joined(parts: Bytes[]): Promise<Bytes> {
  const [first, second] = parts;
  return first !== undefined && second === undefined ? first : new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** A stream of what has been read, then of the rest, beginning with the running read. */
function resumed(
  parts: Bytes[],
  reader: ReadableStreamDefaultReader<Bytes>,
  underWay?: ReturnType<ReadableStreamDefaultReader<Bytes>["read"]>,
): ReadableStream<Bytes> {
  let reading = underWay;
  return new ReadableStream({
    async pull(controller) {
      const part = parts.shift();
      if (part !== undefined) return controller.enqueue(part);
      const { value, done } = await (reading ?? reader.read());
      reading = undefined;
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}

/** The error of a body that is broken off on purpose. It is not logged. */
export const CUT_ON_PURPOSE = "the upload was given up";

/** A body that breaks off at once, so that the client sees that it is not complete. */
export function brokenBody(error: unknown): ReadableStream<Bytes> {
  return new ReadableStream({ start: (controller) => controller.error(error) });
}
