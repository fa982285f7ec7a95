/** A client that speaks HTTP/1.1 byte by byte. It sends exactly the given bytes, and shows exactly what it receives. */

const encoder = new TextEncoder();

/** A response as it came over the wire. */
export interface RawResponse {
  readonly status: number;
  /** The status line and the header lines as sent. */
  readonly head: string;
  /** In order, names as sent. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
  /** Whether the body came to the end that its framing promises. */
  readonly complete: boolean;
}

/** The value of a header of a raw response, by lower-case name. */
export function headerOf(response: RawResponse, name: string): string | undefined {
  return response.headers.find((pair) => pair[0].toLowerCase() === name)?.[1];
}

/** The body of a raw response as text. */
export function textOf(response: RawResponse): string {
  return new TextDecoder().decode(response.body);
}

/** One connection. */
export class RawClient implements Disposable {
  readonly connection: Deno.Conn;
  #buffer = new Uint8Array(0);
  #ended = false;

  /** A client on a connection that is open already. */
  constructor(connection: Deno.Conn) {
    this.connection = connection;
  }

  static async connect(port: number): Promise<RawClient> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.setNoDelay(true); // so that pieces are not joined
    return new RawClient(connection);
  }

  /**
   * @param authority the authority to trust
   * @param own the certificate that the client shows; default: none
   */
  static async connectTls(
    port: number,
    authority: { readonly cert: string },
    own: { readonly cert: string; readonly key: string } | undefined = undefined,
  ): Promise<RawClient> {
    const to = { hostname: "127.0.0.1", port, caCerts: [authority.cert] };
    return new RawClient(await Deno.connectTls(own === undefined ? to : { ...to, cert: own.cert, key: own.key }));
  }

  /** Sends text or bytes. Fails when the other side has closed. */
  async send(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    for (let sent = 0; sent < bytes.length;) sent += await this.connection.write(bytes.subarray(sent));
  }

  /** Reads one response; `method` HEAD has no body whatever its headers say. `undefined`: closed before a head came. */
  async response(method = "GET"): Promise<RawResponse | undefined> {
    const headEnd = await this.#find("\r\n\r\n");
    if (headEnd === -1) return undefined;
    const head = new TextDecoder("latin1").decode(this.#take(headEnd));
    this.#take(4);
    const [statusLine = "", ...lines] = head.split("\r\n");
    const headers = lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
    });
    const status = Number(statusLine.split(" ")[1]);
    const { body, complete } = await this.#body(method, status, headers);
    return { status, head, headers, body, complete };
  }

  /** Sends a request and reads the response. */
  async request(text: string, method = text.slice(0, text.indexOf(" "))): Promise<RawResponse | undefined> {
    await this.send(text);
    return await this.response(method);
  }

  /** Whether the other side closes the connection, sending nothing more. */
  async closed(): Promise<boolean> {
    return this.#buffer.length === 0 && !await this.#fill();
  }

  /** Everything until the other side closes. */
  async rest(): Promise<Uint8Array> {
    while (await this.#fill());
    return this.#take(this.#buffer.length);
  }

  /** Reads at least one byte, and returns all that has arrived. Empty at the end. */
  async chunk(): Promise<Uint8Array> {
    if (this.#buffer.length === 0) await this.#fill();
    return this.#take(this.#buffer.length);
  }

  /** Closes; unread bytes make the system send a reset. */
  close(): void {
    try {
      this.connection.close();
    } catch {
      // closed already
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #body(method: string, status: number, headers: RawResponse["headers"]) {
    const value = (name: string) => headers.find((pair) => pair[0].toLowerCase() === name)?.[1];
    if (method === "HEAD" || status < 200 || status === 204 || status === 304) {
      return { body: new Uint8Array(0), complete: true };
    }
    if (value("transfer-encoding")?.toLowerCase() === "chunked") return await this.#chunkedBody();
    const length = value("content-length");
    if (length === undefined) return { body: await this.rest(), complete: true };
    while (this.#buffer.length < Number(length) && await this.#fill());
    const body = this.#take(Math.min(Number(length), this.#buffer.length));
    return { body, complete: body.length === Number(length) };
  }

  async #chunkedBody() {
    const parts: Uint8Array[] = [];
    while (true) {
      const lineEnd = await this.#find("\r\n");
      const size = lineEnd === -1 ? NaN : parseInt(new TextDecoder().decode(this.#take(lineEnd)), 16);
      if (Number.isNaN(size)) return { body: concat(parts), complete: false };
      this.#take(2);
      while (this.#buffer.length < size + 2 && await this.#fill());
      parts.push(this.#take(Math.min(size, this.#buffer.length)));
      if (this.#take(2).length < 2) return { body: concat(parts), complete: false };
      if (size === 0) return { body: concat(parts), complete: true };
    }
  }

  async #find(text: string): Promise<number> {
    while (true) {
      const at = new TextDecoder("latin1").decode(this.#buffer).indexOf(text);
      if (at !== -1) return at;
      if (!await this.#fill()) return -1;
    }
  }

  #take(count: number): Uint8Array {
    const taken = this.#buffer.slice(0, count);
    this.#buffer = this.#buffer.slice(taken.length);
    return taken;
  }

  async #fill(): Promise<boolean> {
    if (this.#ended) return false;
    const chunk = new Uint8Array(65536);
    const count = await this.connection.read(chunk).catch(() => null); // a reset is an end like another
    if (count === null) this.#ended = true;
    else this.#buffer = concat([this.#buffer, chunk.subarray(0, count)]);
    return !this.#ended;
  }
}

/** Joins byte arrays. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
