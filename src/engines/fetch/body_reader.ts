/** How a request's body is read, by what its head says of it. */

import type { Pace } from "../../net/pace.ts";
import { type BodyReader, ChunkReader } from "./chunk_reader.ts";
import { DrainingReader } from "./draining_reader.ts";
import type { FetchRequestHead } from "./request_head.ts";

/** A reader for a body that came in chunks over HTTP/1.1, or for any other. */
export function bodyReader(
  head: FetchRequestHead,
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  pace: Pace,
): BodyReader {
  if (head.bodyBytes !== undefined || head.bodyUnsaid) return new ChunkReader(body);
  try {
    return new DrainingReader(body.getReader({ mode: "byob" }), pace, head.secure);
  } catch {
    return new ChunkReader(body); // what the runtime had whole, or one of ours
  }
}
