/** Chooses the reader for a request's body. */

import { type BodyReader, ChunkReader } from "./chunk_reader.ts";
import { DrainingReader } from "./draining_reader.ts";
import type { FetchRequestHead } from "./request_head.ts";
import type { UploadPace } from "./upload_pace.ts";

/** Returns a `DrainingReader` for a chunked body over HTTP/1.1, and a `ChunkReader` for all others. */
export function bodyReader(
  head: FetchRequestHead,
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  pace: UploadPace,
): BodyReader {
  if (head.bodyBytes !== undefined || head.bodyUnsaid) return new ChunkReader(body);
  try {
    return new DrainingReader(body.getReader({ mode: "byob" }), pace, head.secure);
  } catch {
    return new ChunkReader(body); // not a stream of bytes: the runtime had the whole body, or it is one of our streams
  }
}
