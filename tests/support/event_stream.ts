/** Reads server-sent events one by one. */

/** One event as received; `id` is `undefined` if it has none. */
export interface ServerSentEvent {
  readonly id: string | undefined;
  readonly event: string;
  /** Parsed from JSON. */
  // deno-lint-ignore no-explicit-any
  readonly data: any;
}

/** The events of a stream, read on demand. Dispose of it to close the stream. */
export class EventReader implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** The next event; `undefined`: the stream has ended. */
  async next(): Promise<ServerSentEvent | undefined> {
    let end: number;
    while ((end = this.#text.indexOf("\n\n")) === -1) {
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#text += this.#decoder.decode(value, { stream: true });
    }
    const lines = this.#text.slice(0, end).split("\n");
    this.#text = this.#text.slice(end + 2);
    const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    return { id: field("id"), event: field("event") ?? "message", data: JSON.parse(field("data") ?? "null") };
  }

  /** The next event that is not `stats`. */
  async nextChange(): Promise<ServerSentEvent | undefined> {
    let event = await this.next();
    while (event?.event === "stats") event = await this.next();
    return event;
  }

  /** The next `count` events. */
  async take(count: number): Promise<(ServerSentEvent | undefined)[]> {
    const events = [];
    while (events.length < count) events.push(await this.next());
    return events;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}
