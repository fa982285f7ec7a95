/** The client's request body on its way to a backend, or to the next one if the first could not be reached. */

/** `fetch` reads up to this many chunks before it has a connection; so many can be handed out again. */
const CHUNKS_KEPT = 2;

/** What happens to a body, told to the exchange it belongs to. */
export interface RequestBodyListener {
  /** All of it has been handed out, or the client broke off: nothing more will arrive. */
  bodyEnded(): void;
}

/**
 * Hands the client's body out as one stream an attempt. The first chunks are kept until a third is asked for, which
 * `fetch` does only once it is connected; until then another attempt can start from the beginning. A plain `req.body`
 * can't be used twice, and what `fetch` had read of it before the connection failed would be lost.
 */
export class RequestBody {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #listener: RequestBodyListener;
  readonly #kept: Uint8Array[] = [];
  #replayable = true;
  #ended = false;
  #failure: unknown;
  /** Which stream is the current one: an abandoned attempt's must not take chunks from its successor. */
  #current: ReadableStream<Uint8Array> | undefined;
  /** The read under way, shared: an abandoned stream's chunk belongs to the next one. */
  #reading: Promise<void> | undefined;

  constructor(source: ReadableStream<Uint8Array>, listener: RequestBodyListener) {
    this.#reader = source.getReader();
    this.#listener = listener;
  }

  /** Whether everything that was handed out can be handed out again. */
  get replayable(): boolean {
    return this.#replayable;
  }

  /** Whether the client's side broke off. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** A new stream from the beginning. Only while `replayable`. */
  stream(): ReadableStream<Uint8Array> {
    let next = 0;
    const stream = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        if (stream !== this.#current) return controller.close();
        if (next === CHUNKS_KEPT) {
          this.#replayable = false;
          this.#kept.length = 0;
        }
        const position = this.#replayable ? next : 0;
        if (position === this.#kept.length && !this.#ended) await (this.#reading ??= this.#read());
        if (stream !== this.#current) return controller.close();
        if (this.#failure !== undefined) throw this.#failure;
        const chunk = this.#replayable ? this.#kept[position] : this.#kept.shift();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
        next++;
      },
    }, { highWaterMark: 0 });
    this.#current = stream;
    return stream;
  }

  /** Gives the client's stream up: no attempt will read on. */
  abandon(): void {
    this.#reader.cancel().catch(() => {}); // it may have failed or been read to its end already
  }

  async #read(): Promise<void> {
    try {
      const { value, done } = await this.#reader.read();
      if (done) this.#end();
      else this.#kept.push(value);
    } catch (error) {
      this.#failure = error;
      this.#end();
    } finally {
      this.#reading = undefined;
    }
  }

  #end(): void {
    this.#ended = true;
    this.#listener.bodyEnded();
  }
}
