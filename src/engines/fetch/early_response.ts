/**
 * Relays responses that begin before the upload has ended.
 *
 * The runtime has a trap here (Deno 2.9.6). If a streamed response breaks off, or the client leaves after one, a
 * running read of the request body never settles, and the client's socket stays open for ever. After a response in one
 * piece, the read settles. Most early responses are short, such as a refusal. So they are gathered first, and only
 * longer ones are streamed here.
 */

import type { RequestBody } from "./request_body.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Streams the body of such a response, and gives up the upload when the body has ended, before the runtime is told. If
 * the body breaks off, this first waits until no read of the upload is running. That is when the client sends more or
 * leaves.
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
        if (!cancelled) throw error;
      }
    },
    async cancel(reason) {
      cancelled = true;
      upload.abandon();
      await reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}
