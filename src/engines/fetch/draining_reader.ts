/** Reads request bodies that come in chunks over HTTP/1.1, as many chunks at once as there are. */

import type { Pace } from "../../net/pace.ts";
import { type BodyReader, Compactor } from "./chunk_reader.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * How much is asked for at once. The runtime takes as much from the connection for each read, however short the chunk. But
 * it has to see a chunk's size with its extensions at once, for which it allows 4 KiB, and all trailers: a read of less
 * than these would never end.
 */
const VIEW_BYTES = 4352;

/** What a chunk's size and its line ends take beside its data: for a small one, and at most without extensions. */
const LEAST_FRAMING_BYTES = 5;
const FRAMING_BYTES = 32;

/** How much is handed out at once. */
const BLOCK_BYTES = 65_536;

/** After a turn with so many reads everybody else has as long a time. */
const MANY_READS = 1000;

/** How long is read in one turn, at most: over TLS the runtime never has to wait while the client sends. */
const MOST_BUSY_MS = 100;
const MOST_BUSY_SECURE_MS = 5;

/** How many reads are timed together, and how many such batches in a row have to be slow: the first reads of a process are. */
const BATCH_READS = 16;
const SLOW_BATCHES = 16;

/** How long the isolate may have to stand still for what the runtime holds of a body that has ended. */
const MOST_STANDSTILL_MS = 1500;

/** How many bytes memory moves in a millisecond, roughly. */
const MOVED_BYTES_PER_MS = 1e7;

/** The client sends chunks that are too small for their number. */
export class ChunksTooSmall extends Error {
  override readonly name = "ChunksTooSmall";
}

/**
 * With every read the runtime takes more from the connection than it gives (Deno 2.9.6). It keeps the rest, and moves all
 * of it for each chunk that it gives. A client that sends small chunks fast leaves it with megabytes, and then each of its
 * chunks takes milliseconds. What it holds when a request ends it goes through in one go, for minutes or hours.
 *
 * Without TLS it takes from the connection 128 times at most in one turn of the event loop. So little is asked for at once,
 * and all that there is is read before the turn ends: that leaves the runtime with nothing. Over TLS there is no such
 * limit, so as much is asked for as the chunks are large. A body whose chunks take ever longer all the same is given up.
 */
export class DrainingReader implements BodyReader {
  readonly #source: ReadableStreamBYOBReader;
  readonly #pace: Pace;
  readonly #secure: boolean;
  readonly #compactor = new Compactor();
  readonly #full: Bytes[] = [];
  #view = new ArrayBuffer(VIEW_BYTES);
  #block: Bytes | undefined;
  #used = 0;
  #reading = false;
  #draining = false;
  #ended = false;
  #failure: unknown;
  #arrived: (() => void) | undefined;
  #endRest: (() => void) | undefined;
  /** What has come of the current chunk, as far as that can be known. */
  #chunkBytes = 0;
  /** How long the last turn took. */
  #busyMs = 0;
  #turnReads = 0;
  #turnAt = 0;
  #batchAt = 0;
  #batchBytes = 0;
  #batchReads = 0;
  #slowBatches = 0;

  /** @param secure whether the body comes over TLS */
  constructor(source: ReadableStreamBYOBReader, pace: Pace, secure: boolean) {
    this.#source = source;
    this.#pace = pace;
    this.#secure = secure;
  }

  async read(): Promise<Bytes | undefined> {
    if (!this.#hasSome && !this.#ended) await this.#drain();
    const block = this.#full.shift() ?? this.#takeRest();
    if (block === undefined && this.#failure !== undefined) throw this.#failure;
    return block;
  }

  async cancel(reason?: unknown): Promise<void> {
    this.#draining = false;
    this.#ended = true;
    this.#endRest?.();
    await this.#source.cancel(reason);
  }

  get #hasSome(): boolean {
    return this.#full.length > 0 || this.#used > 0;
  }

  async #drain(): Promise<void> {
    const pause = this.#pace.pause();
    if (pause !== undefined) await pause;
    if (this.#turnReads > MANY_READS) await this.#rest(this.#busyMs);
    if (this.#ended) return; // meanwhile, by a read that was under way
    this.#draining = true;
    this.#turnReads = 0;
    this.#startTurn();
    if (!this.#reading) this.#readOn();
    if (!this.#hasSome && !this.#ended) {
      await new Promise<void>((resolve) => this.#arrived = resolve);
      this.#startTurn();
    }
    const begun = performance.now();
    await new Promise<void>((resolve) => setImmediate(resolve)); // by then all reads that need not wait are done
    this.#draining = false;
    this.#busyMs = performance.now() - begun;
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endRest = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #startTurn(): void {
    this.#turnAt = this.#batchAt = performance.now();
    this.#batchReads = this.#batchBytes = 0;
  }

  #readOn(): void {
    this.#reading = true;
    this.#source.read(new Uint8Array(this.#view)).then(this.#got, this.#failed);
  }

  readonly #got = ({ value, done }: ReadableStreamReadResult<Bytes>): void => {
    this.#reading = false;
    if (done || value === undefined) return this.#end();
    this.#view = this.#secure ? this.#fittingView(value) : value.buffer;
    this.#turnReads++;
    this.#keep(value);
    this.#arrived?.();
    if (this.#draining && this.#mayGoOn(value.length)) this.#readOn();
  };

  readonly #failed = (error: unknown): void => {
    this.#reading = false;
    this.#fail(error);
  };

  #fail(error: unknown): void {
    this.#failure = error;
    this.#end();
  }

  #giveUp(): void {
    this.#source.cancel().catch(() => {}); // the client may have left
    this.#fail(new ChunksTooSmall("the chunks are too small for their number"));
  }

  #end(): void {
    this.#ended = true;
    this.#arrived?.();
  }

  /** Room for the largest chunk so far: with more the runtime would hold more, with less it would have to give more often. */
  #fittingView({ length, buffer }: Bytes): ArrayBuffer {
    this.#chunkBytes += length;
    if (length >= buffer.byteLength - FRAMING_BYTES) return buffer; // the chunk may go on
    const wanted = Math.min(this.#chunkBytes, BLOCK_BYTES) + FRAMING_BYTES;
    this.#chunkBytes = 0;
    return wanted > buffer.byteLength ? new ArrayBuffer(wanted) : buffer;
  }

  /** Whether more may be read in this turn, and at all. */
  #mayGoOn(bytes: number): boolean {
    this.#batchBytes += bytes;
    if (++this.#batchReads < BATCH_READS) return true;
    const now = performance.now();
    const readMs = (now - this.#batchAt) / BATCH_READS;
    const readBytes = this.#batchBytes / BATCH_READS + LEAST_FRAMING_BYTES;
    this.#slowBatches = isTooSlow(readMs, readBytes) ? this.#slowBatches + 1 : 0;
    if (this.#slowBatches === SLOW_BATCHES) this.#giveUp();
    this.#batchAt = now;
    this.#batchReads = this.#batchBytes = 0;
    return !this.#ended && now - this.#turnAt < (this.#secure ? MOST_BUSY_SECURE_MS : MOST_BUSY_MS);
  }

  #keep(chunk: Bytes): void {
    if (this.#used + chunk.length > BLOCK_BYTES) this.#full.push(this.#takeRest() ?? chunk);
    this.#block ??= new Uint8Array(BLOCK_BYTES);
    this.#block.set(chunk, this.#used);
    this.#used += chunk.length;
  }

  #takeRest(): Bytes | undefined {
    if (this.#block === undefined || this.#used === 0) return undefined;
    const rest = this.#compactor.compact(this.#block.subarray(0, this.#used));
    if (rest.buffer === this.#block.buffer) this.#block = undefined;
    this.#used = 0;
    return rest;
  }
}

/**
 * Whether the runtime holds so much of a body that it would stand still for too long at its end. How much it holds shows in
 * how long a read takes, since it moves all of it; at the end it does the same for each chunk.
 */
function isTooSlow(readMs: number, readBytes: number): boolean {
  const heldBytes = readMs * MOVED_BYTES_PER_MS;
  return heldBytes / readBytes * readMs / 2 > MOST_STANDSTILL_MS;
}
