/** One HTTP/1.1 connection to 127.0.0.1 that is kept open: sends a request, reads its answer. Light, for load generators. */

/** What is told of an answer. */
export interface Answer {
  readonly status: number;
  /** The body's first bytes as text; all of it when it is short. */
  readonly start: string;
}

/** What a connection needs of a socket. */
export type Socket = Pick<Deno.Conn, "read" | "write" | "close">;

const headEnd = new Uint8Array([13, 10, 13, 10]);
const decoder = new TextDecoder("latin1");

/** A GET as bytes. */
export function getRequest(port: number, path: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
}

/** Used for one request at a time. */
export class Connection implements Disposable {
  readonly #socket: Socket;
  readonly #buffer = new Uint8Array(4_096);

  /** Owns `socket` from now on. */
  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Rejects when nobody accepts it. */
  static async open(port: number): Promise<Connection> {
    const socket = await Deno.connect({ hostname: "127.0.0.1", port });
    socket.setNoDelay(true);
    return new Connection(socket);
  }

  /**
   * Resolves when the answer has come whole. It has to have a `Content-Length`.
   *
   * @throws {Error} when the connection breaks, ends, or what comes is no such answer
   */
  async exchange(request: Uint8Array): Promise<Answer> {
    await this.#send(request);
    const buffer = this.#buffer;
    let filled = 0;
    let bodyStart = -1;
    while (bodyStart < 0) {
      filled += await this.#read(buffer.subarray(filled));
      bodyStart = endOfHead(buffer.subarray(0, filled));
    }
    const { status, bodyBytes } = parseHead(decoder.decode(buffer.subarray(0, bodyStart)));
    while (filled < buffer.length && filled < bodyStart + bodyBytes) {
      filled += await this.#read(buffer.subarray(filled));
    }
    const start = decoder.decode(buffer.subarray(bodyStart, filled));
    for (let received = filled; received < bodyStart + bodyBytes;) received += await this.#read(buffer);
    return { status, start };
  }

  [Symbol.dispose](): void {
    try {
      this.#socket.close();
    } catch {
      // it has been closed to end an exchange
    }
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.#socket.write(bytes.subarray(sent));
  }

  async #read(into: Uint8Array): Promise<number> {
    if (into.length === 0) throw new Error("the answer's head is too long");
    const count = await this.#socket.read(into);
    if (count === null) throw new Error("the connection ended before the answer did");
    return count;
  }
}

/** Status and length of the body from a head; throws when it has none. */
export function parseHead(head: string): { readonly status: number; readonly bodyBytes: number } {
  const status = /^HTTP\/1\.1 (\d{3})[ \r]/.exec(head)?.[1];
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
  if (status === undefined || length === undefined) throw new Error(`no plain answer: ${head.slice(0, 100)}`);
  return { status: Number(status), bodyBytes: Number(length) };
}

/** Where the body begins; -1 while the head is not complete. */
function endOfHead(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(13); at >= 0; at = bytes.indexOf(13, at + 1)) {
    if (headEnd.every((byte, index) => bytes[at + index] === byte)) return at + headEnd.length;
  }
  return -1;
}
