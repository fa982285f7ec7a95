/** Request bodies whose length is known. */

/**
 * A body that `fetch` streams with a `Content-Length`. Whatever else streams it sends in chunks, and servers behind WSGI
 * and CGI, which know nothing of chunks, would see an empty body. The runtime asks a `Blob` for its size and its stream
 * alone, and fails the request when fewer bytes come. A size of 0 would go in chunks all the same.
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
