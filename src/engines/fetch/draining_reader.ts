/** Reads chunked request bodies over HTTP/1.1. Reads all chunks that have arrived at once. */

import { type BodyReader, Compactor } from "./chunk_reader.ts";
import type { UploadPace } from "./upload_pace.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * How many bytes are requested in one read. For each read, the runtime takes as many bytes from the connection, even
 * for a short chunk. But it must see a chunk's size with its extensions at once, for which it allows 4 KiB, and also
 * all trailers. A smaller read would never end.
 */
const VIEW_BYTES = 4352;

/** Bytes of a chunk's size and line ends: the least, for a small chunk, and the most, without extensions. */
const LEAST_FRAMING_BYTES = 5;
const FRAMING_BYTES = 32;

/** How many bytes are returned at once. */
const BLOCK_BYTES = 65_536;

/** After a turn with more reads than this, the next one is a long turn (`LongTurns`). */
const MANY_READS = 1000;

/**
 * The longest time for reading in one turn, without and with TLS. Over TLS, the runtime never waits while the client
 * sends.
 */
const MOST_BUSY_MS = 30;
const MOST_BUSY_SECURE_MS = 5;

/**
 * How many reads are timed together, and how many such batches in a row must be slow. The first reads of a process are
 * always slow.
 */
const BATCH_READS = 16;
const SLOW_BATCHES = 16;

/** The longest time for which the isolate may be blocked by what the runtime holds of a body that has ended. */
const MOST_STANDSTILL_MS = 500;

/** About how many bytes can be moved in memory in a millisecond. */
const MOVED_BYTES_PER_MS = 1e7;

/** The client sends chunks that are too small for their number. */
export class ChunksTooSmall extends Error {
  override readonly name = "ChunksTooSmall";
}

/**
 * With each read, the runtime takes more from the connection than it returns (Deno 2.9.6). It keeps the rest, and moves
 * all of it for each chunk that it returns. If a client sends small chunks fast, the runtime holds megabytes, and each
 * chunk takes milliseconds. When the request ends, it processes all that it holds without a pause, for minutes or
 * hours.
 *
 * Without TLS, the runtime reads from the connection at most 128 times in one turn of the event loop. So each read
 * requests little, and all that has arrived is read before the turn ends. Then the runtime holds nothing. Over TLS
 * there is no such limit, so each read requests about the size of the chunks. If chunks still take longer and longer,
 * the body is given up.
 */
export class DrainingReader implements BodyReader {
  readonly #source: ReadableStreamBYOBReader;
  readonly #pace: UploadPace;
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
  /** Ends the wait for a long turn. */
  #ownTurn: (() => void) | undefined;
  #withdrawn = false;
  /** Bytes of the current chunk so far, as far as that can be known. */
  #chunkBytes = 0;
  #turnReads = 0;
  #turnAt = 0;
  #batchAt = 0;
  #batchBytes = 0;
  #batchReads = 0;
  #slowBatches = 0;

  /** @param secure whether the body arrives over TLS */
  constructor(source: ReadableStreamBYOBReader, pace: UploadPace, secure: boolean) {
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
    if (this.#ownTurn !== undefined && this.#pace.longTurns.withdraw(this.#ownTurn)) {
      this.#withdrawn = true;
      this.#ownTurn();
    }
    await this.#source.cancel(reason);
  }

  get #hasSome(): boolean {
    return this.#full.length > 0 || this.#used > 0;
  }

  async #drain(): Promise<void> {
    const pause = this.#pace.relays.pause();
    if (pause !== undefined) await pause;
    if (this.#ended) return; // in the meantime, by a read that was running
    const isLong = this.#turnReads > MANY_READS;
    this.#turnReads = 0;
    this.#readAll(!isLong);
    if (!this.#hasSome && !this.#ended) {
      await new Promise<void>((resolve) => this.#arrived = resolve);
      this.#startTurn();
    }
    if (!isLong) await this.#endOfTurn();
    else if (!this.#ended) await this.#longTurn();
  }

  /** Waits with what has arrived first: a client that sends nothing would let all others wait for its turn's end. */
  async #longTurn(): Promise<void> {
    const { longTurns } = this.#pace;
    await new Promise<void>((resolve) => longTurns.take(this.#ownTurn = resolve));
    this.#ownTurn = undefined;
    if (this.#withdrawn) return;
    const begun = performance.now();
    if (!this.#ended) {
      this.#readAll(true);
      await this.#endOfTurn();
    }
    longTurns.end(performance.now() - begun);
  }

  async #endOfTurn(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve)); // by then, all reads that need not wait have ended
    this.#draining = false;
  }

  /** Begins to read: one chunk, or (`draining`) all that has arrived. */
  #readAll(draining: boolean): void {
    this.#draining = draining;
    this.#startTurn();
    if (!this.#reading) this.#readOn();
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

  /**
   * Returns a buffer for the largest chunk so far. With a larger one, the runtime would hold more. With a smaller one,
   * more reads would be needed.
   */
  #fittingView({ length, buffer }: Bytes): ArrayBuffer {
    this.#chunkBytes += length;
    if (length >= buffer.byteLength - FRAMING_BYTES) return buffer; // the chunk may go on
    const wanted = Math.min(this.#chunkBytes + FRAMING_BYTES, BLOCK_BYTES); // a block has to hold what is read at once
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
    const full = this.#used + chunk.length > BLOCK_BYTES ? this.#takeRest() : undefined;
    if (full !== undefined) this.#full.push(full);
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
 * Whether the runtime holds so much of a body that it would be blocked for too long at its end. The time of a read
 * shows how much it holds, because it moves all of it. At the end, it does the same for each chunk.
 */
function isTooSlow(readMs: number, readBytes: number): boolean {
  const heldBytes = readMs * MOVED_BYTES_PER_MS;
  return heldBytes / readBytes * readMs / 2 > MOST_STANDSTILL_MS;
}
