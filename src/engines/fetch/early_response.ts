/**
 * Responses that come before the end of the upload.
 *
 * The runtime has a trap here (Deno 2.9.6). A read of the request body that is under way when a streamed response breaks
 * off, or when the client leaves behind one, never settles, and the client's socket stays open for ever. After a
 * response in one piece it does settle. Nearly all that is said so early is short, a refusal or half of something: so it
 * is gathered first, and what is longer goes this way.
 */

import type { RequestBody } from "./request_body.ts";

type Bytes = Uint8Array<ArrayBuffer>;

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
