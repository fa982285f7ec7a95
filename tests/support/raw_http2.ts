/** A client that speaks HTTP/2 frame by frame (RFC 9113), to send what no library would send. */

const FRAME_TYPES = { DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, PING: 6, GOAWAY: 7 } as const;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const HEAD_BYTES = 9;

/** The entries of HPACK's static table that are a status alone (RFC 7541 appendix A). */
const FIRST_STATUS_INDEX = 8;
const STATUSES = [200, 204, 206, 304, 400, 404, 500];

const encoder = new TextEncoder();

/** The response of one stream. */
export interface Http2Answer {
  /** `reset`: the stream, or the whole connection, was broken off before a head came. */
  readonly status: number | "reset";
  readonly body: string;
}

/** One frame as bytes. */
export function frame(
  type: keyof typeof FRAME_TYPES | number,
  flags: number,
  stream: number,
  payload: ArrayLike<number> = [],
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEAD_BYTES + payload.length);
  const code = typeof type === "number" ? type : FRAME_TYPES[type];
  bytes.set([payload.length >> 16, payload.length >> 8, payload.length, code, flags, 0, 0, 0, stream]);
  bytes.set(payload, HEAD_BYTES);
  return bytes;
}

/** A header block with every field as a literal. */
function block(fields: readonly (readonly [name: string, value: string])[]): number[] {
  const text = (value: string) => {
    const bytes = encoder.encode(value);
    if (bytes.length > 126) throw new RangeError(`too long for this client: ${value}`);
    return [bytes.length, ...bytes];
  };
  return fields.flatMap(([name, value]) => [0, ...text(name), ...text(value)]);
}

/** The header block of a request over TLS to localhost. */
export function headOf(method: string, path: string): number[] {
  return block([[":method", method], [":scheme", "https"], [":authority", "localhost"], [":path", path]]);
}

/** One connection, for one stream at a time. */
export class RawHttp2Client implements Disposable {
  readonly #connection: Deno.Conn;
  #buffer = new Uint8Array(0);
  #stream = -1;

  private constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** @param authority the authority to trust; without it: plain HTTP/2 with prior knowledge */
  static async connect(port: number, authority?: { readonly cert: string }): Promise<RawHttp2Client> {
    const to = { hostname: "127.0.0.1", port };
    const connection = authority === undefined
      ? await Deno.connect(to)
      : await Deno.connectTls({ ...to, caCerts: [authority.cert], alpnProtocols: ["h2"] });
    const client = new RawHttp2Client(connection);
    await client.send(encoder.encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    await client.send(frame("SETTINGS", 0, 0));
    return client;
  }

  async send(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.#connection.write(bytes.subarray(sent));
  }

  /**
   * Opens the next stream.
   *
   * @param fields pseudo-headers included
   * @param parts the body, each part a frame; `undefined`: the head ends the stream
   */
  async request(fields: readonly (readonly [string, string])[], parts?: readonly string[]): Promise<Http2Answer> {
    this.#stream += 2;
    await this.send(
      frame("HEADERS", END_HEADERS | (parts === undefined ? END_STREAM : 0), this.#stream, block(fields)),
    );
    for (const [index, part] of (parts ?? []).entries()) {
      const last = index === (parts?.length ?? 0) - 1;
      await this.send(frame("DATA", last ? END_STREAM : 0, this.#stream, encoder.encode(part))).catch(() => {}); // refused
    }
    return await this.#answer();
  }

  async #answer(): Promise<Http2Answer> {
    let status: number | "reset" = "reset";
    let body = "";
    while (true) {
      const next = await this.#frame();
      if (next === undefined) return { status, body };
      const { type, flags, stream, payload } = next;
      if (type === FRAME_TYPES.SETTINGS && (flags & ACK) === 0) {
        await this.send(frame("SETTINGS", ACK, 0)).catch(() => {});
      }
      if (stream !== this.#stream) continue;
      if (type === FRAME_TYPES.RST_STREAM) return { status, body };
      if (type === FRAME_TYPES.HEADERS && status === "reset") status = statusOf(payload);
      if (type === FRAME_TYPES.DATA) body += new TextDecoder().decode(payload);
      if ((type === FRAME_TYPES.HEADERS || type === FRAME_TYPES.DATA) && (flags & END_STREAM) !== 0) {
        return { status, body };
      }
    }
  }

  async #frame() {
    const head = await this.#take(HEAD_BYTES);
    if (head === undefined) return undefined;
    const view = new DataView(head.buffer, head.byteOffset);
    const payload = await this.#take(view.getUint32(0) >>> 8);
    if (payload === undefined) return undefined;
    return { type: view.getUint8(3), flags: view.getUint8(4), stream: view.getUint32(5) & 0x7fffffff, payload };
  }

  /** `undefined`: the connection ended before. */
  async #take(count: number): Promise<Uint8Array | undefined> {
    while (this.#buffer.length < count) {
      const more = new Uint8Array(65_536);
      const read = await this.#connection.read(more).catch(() => null);
      if (read === null) return undefined;
      const joined = new Uint8Array(this.#buffer.length + read);
      joined.set(this.#buffer);
      joined.set(more.subarray(0, read), this.#buffer.length);
      this.#buffer = joined;
    }
    const taken = this.#buffer.subarray(0, count);
    this.#buffer = this.#buffer.subarray(count);
    return taken;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** The status is the first field of a response: an indexed field, or a literal with an indexed name. */
function statusOf(payload: Uint8Array): number {
  let at = 0;
  while (((payload[at] ?? 0) & 0xe0) === 0x20) at++; // changes of the table's size, below 31
  const first = payload[at] ?? 0;
  if ((first & 0x80) !== 0) {
    const status = STATUSES[(first & 0x7f) - FIRST_STATUS_INDEX];
    if (status === undefined) throw new Error(`not a status: index ${first & 0x7f}`);
    return status;
  }
  const length = payload[at + 1] ?? 0;
  const value = payload.subarray(at + 2, at + 2 + (length & 0x7f));
  return Number((length & 0x80) === 0 ? new TextDecoder().decode(value) : digits(value));
}

/** Digits in HPACK's Huffman code: 0 to 2 have five bits, 3 to 9 six. */
function digits(bytes: Uint8Array): string {
  let bits = "";
  for (const byte of bytes) bits += byte.toString(2).padStart(8, "0");
  let text = "";
  for (let at = 0; bits.length - at >= 5;) {
    const five = parseInt(bits.slice(at, at + 5), 2);
    if (five <= 2) {
      text += five;
      at += 5;
    } else {
      const six = parseInt(bits.slice(at, at + 6), 2);
      if (six < 0b011001 || six > 0b011111) break; // padding
      text += six - 0b011001 + 3;
      at += 6;
    }
  }
  return text;
}
