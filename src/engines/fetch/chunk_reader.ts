/** Reads the runtime's streams without keeping large buffers for a few bytes. */

type Bytes = Uint8Array<ArrayBuffer>;

/** How many bytes the runtime reads at once. */
const BUFFER_BYTES = 65_536;

/** Bytes are not copied if their buffer is larger than they are by at most this. */
const MOST_SLACK_BYTES = 16_384;

/** Chunks up to this size share a buffer. */
const MOST_SHARED_BYTES = 1024;
const SHARED_BYTES = 16_384;

/** Reads a body, one read at a time. */
export interface BodyReader {
  /**
   * The next bytes; `undefined`: the end. They are empty only if the runtime's chunk is.
   *
   * @param mostBytes how many can follow at most; default: unknown. The end must be read, too: without that, the runtime
   * closes the connection
   */
  read(mostBytes?: number): Promise<Bytes | undefined>;
  /** Gives up the rest. */
  cancel(reason?: unknown): Promise<void>;
}

/**
 * Reads a body chunk by chunk. Copies small chunks into memory of their size. Each read of the runtime uses a buffer of
 * 64 KiB, and a single byte keeps all of it: 30,000 chunks of one byte would hold 1.9 GB. Dropped buffers would become
 * garbage faster than it is collected. So all small reads use one buffer, if the stream allows it.
 */
export class ChunkReader implements BodyReader {
  readonly #source: ReadableStreamBYOBReader | undefined;
  readonly #plain: ReadableStreamDefaultReader<Bytes> | undefined;
  readonly #compactor = new Compactor();
  #spare: ArrayBuffer | undefined;

  constructor(stream: ReadableStream<Bytes>) {
    try {
      this.#source = stream.getReader({ mode: "byob" });
    } catch {
      this.#plain = stream.getReader(); // not a stream of bytes: the runtime had it whole, or it is one of ours
    }
  }

  /** The next chunk; `undefined`: the end. */
  async read(mostBytes = Infinity): Promise<Bytes | undefined> {
    if (this.#source === undefined) {
      const chunk = (await this.#plain?.read())?.value;
      return chunk === undefined ? undefined : this.#compactor.compact(chunk);
    }
    const buffer = this.#spare ?? new ArrayBuffer(Math.max(1, Math.min(mostBytes, BUFFER_BYTES)));
    this.#spare = undefined;
    const { value, done } = await this.#source.read(new Uint8Array(buffer));
    if (done || value === undefined) return undefined;
    const chunk = this.#compactor.compact(value);
    if (chunk !== value) this.#spare = value.buffer;
    return chunk;
  }

  /** Gives up the rest. */
  async cancel(reason?: unknown): Promise<void> {
    await (this.#source ?? this.#plain)?.cancel(reason);
  }
}

/** Copies chunks that are much smaller than their buffers. */
export class Compactor {
  #shared: Bytes | undefined;
  #used = 0;

  /** Returns the same bytes, in memory of about their size. */
  compact(chunk: Bytes): Bytes {
    if (chunk.buffer.byteLength - chunk.length <= MOST_SLACK_BYTES) return chunk;
    if (chunk.length > MOST_SHARED_BYTES) return chunk.slice();
    if (this.#shared === undefined || this.#used + chunk.length > SHARED_BYTES) {
      this.#shared = new Uint8Array(SHARED_BYTES);
      this.#used = 0;
    }
    const copy = this.#shared.subarray(this.#used, this.#used + chunk.length);
    copy.set(chunk);
    this.#used += chunk.length;
    return copy;
  }
}
