/** Streams that tests feed. */

type Bytes = Uint8Array<ArrayBuffer>;

/** A stream that a test feeds. */
export function fed<Chunk = Bytes>() {
  let controller: ReadableStreamDefaultController<Chunk> | undefined;
  let cancelled = false;
  const stream = new ReadableStream<Chunk>({
    start: (given) => void (controller = given),
    cancel: () => void (cancelled = true),
  });
  return {
    stream,
    get cancelled() {
      return cancelled;
    },
    push: (chunk: Chunk) => controller?.enqueue(chunk),
    end: () => controller?.close(),
    fail: () => controller?.error(new Error("broken off")),
  };
}
