/** Request bodies of known length. */

/**
 * A body that `fetch` streams with a `Content-Length`. It sends all other streams in chunks. WSGI and CGI have no
 * chunks, so applications would see an empty body. The runtime reads only the size and the stream of a `Blob`, and
 * fails the request if fewer bytes arrive. A body of size 0 would be sent in chunks, too.
 */
export class SizedBody extends Blob {
  readonly #bytes: number;
  readonly #open: () => ReadableStream<Uint8Array<ArrayBuffer>>;

  /** @param bytes at least 1 */
  constructor(bytes: number, open: () => ReadableStream<Uint8Array<ArrayBuffer>>) {
    super();
    this.#bytes = bytes;
    this.#open = open;
  }

  override get size(): number {
    return this.#bytes;
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#open();
  }
}
