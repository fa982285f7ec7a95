/**
 * Responses that come before the end of the upload.
 *
 * The runtime has a trap here (Deno 2.9.6). A read of the request body that is under way when a streamed response breaks
 * off, or when the client leaves behind one, never settles, and the client's socket stays open for ever. After a
 * response in one piece it does settle. Nearly all that is said so early is short: a refusal, or half of something.
 */

import { messageOf } from "../../errors.ts";
import type { RequestBody } from "./request_body.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** As much of a body is looked at before it is passed on, */
const MOST_BYTES = 65_536;
/** for as long. What takes longer is streamed. */
const PATIENCE_MS = 100;

/**
 * The body of such a response: in one piece if all of it comes soon, else as a stream. Rejects when it breaks off soon,
 * while the client can still be told.
 */
export async function settleEarly(body: ReadableStream<Bytes>): Promise<Bytes | ReadableStream<Bytes>> {
  const reader = body.getReader();
  const parts: Bytes[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, undefined);
  });
  try {
    for (let size = 0; size <= MOST_BYTES;) {
      const reading = reader.read();
      const read = await Promise.race([reading, late]);
      if (read === undefined) return resumed(parts, reader, reading);
      if (read.done) return new Uint8Array(await new Blob(parts).arrayBuffer());
      parts.push(read.value);
      size += read.value.length;
    }
    return resumed(parts, reader);
  } finally {
    clearTimeout(timer);
  }
}

/** What has been read, then the rest, from the read under way on. */
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

/**
 * Streams the body of such a response, and gives the upload up when it has ended: before the runtime hears of the end,
 * and before a cut only once no read is under way, as the client sends more or leaves.
 */
export function relayBesideUpload(response: ReadableStream<Bytes>, upload: RequestBody): ReadableStream<Bytes> {
  const reader = response.getReader();
  let cancelled = false;
  return new ReadableStream({
    async pull(controller) {
      try {
        const { value, done } = await reader.read();
        if (!done) return controller.enqueue(value);
        upload.abandon();
        controller.close();
      } catch (error) {
        await upload.abandonWhenStill();
        if (!cancelled) throw withoutStack(error);
      }
    },
    async cancel(reason) {
      cancelled = true;
      upload.abandon();
      await reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

/** The runtime prints what a response stream fails with; one line of that is enough. */
function withoutStack(error: unknown): Error {
  const cut = new Error(`response cut: ${messageOf(error)}`);
  cut.stack = "";
  return cut;
}
