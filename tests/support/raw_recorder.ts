/** A backend that reads every request strictly by RFC 9112 and records it. */

import { RawBackend, type RawConnection } from "./raw_backend.ts";
import { concat } from "./raw_client.ts";

/** A header or trailer line as it came. */
export type Line = readonly [name: string, value: string];

/** A request as a backend has received it. The body grows while it arrives. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  /** In order, names as sent. */
  readonly headers: readonly Line[];
  readonly framing: "none" | "length" | "chunked";
  /** Which of the backend's connections it came on, from 0. */
  readonly connection: number;
  /** How much of the body has arrived. */
  bodyBytes: number;
  /** Empty until the body is complete, and where the backend was told not to keep it. */
  body: Uint8Array<ArrayBuffer>;
  readonly trailers: Line[];
  /** Whether it came to the end that its framing promises. */
  complete: boolean;
  /** Whether the request has ended, completely or not. */
  ended: boolean;
}

/** Answers a request with bytes; `undefined`: breaks the connection off. */
export type Answer = (
  request: SeenRequest,
  connection: RawConnection,
) => string | Uint8Array | undefined | Promise<string | Uint8Array | undefined>;

export interface RecorderOptions {
  /** Of a unix socket to listen on, in place of a port. */
  readonly path?: string;
  /** Called with each head before the body is read; what it returns is sent at once. */
  readonly onHead?: (request: SeenRequest, connection: RawConnection) => string | void | Promise<string | void>;
  /** Called with each piece of a body. With it bodies are not kept. */
  readonly onBody?: (piece: Uint8Array<ArrayBuffer>, request: SeenRequest) => void;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([\\x21-\\x7e\\x80-\\xff]+) HTTP/1\\.1$`);
const HEADER_LINE = new RegExp(`^(${TOKEN}):[ \\t]*([\\t\\x20-\\x7e\\x80-\\xff]*?)[ \\t]*$`);
const CHUNK_LINE = /^([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/;

/** Bytes that are not a request of RFC 9112. */
class Violation extends Error {}

/** A listening backend. Dispose of it to cut everything. */
export class RecordingBackend implements AsyncDisposable {
  /** In the order of their heads. */
  readonly requests: SeenRequest[] = [];
  /** Requests that break RFC 9112. One of these means that request smuggling is possible. */
  readonly violations: string[] = [];
  readonly #backend: RawBackend;

  /** @param answer default: `echoOf`, which repeats method, target and length */
  constructor(answer: Answer = echoOf, options: RecorderOptions = {}) {
    this.#backend = new RawBackend(async (connection, index) => {
      try {
        await this.#serve(connection, index, answer, options);
      } catch (error) {
        if (error instanceof Violation) this.violations.push(error.message);
        throw error;
      }
    }, options.path);
  }

  get url(): string {
    return this.#backend.url;
  }

  /** How many connections it has accepted. */
  get connections(): number {
    return this.#backend.connections.length;
  }

  /** The last request; fails when there was none. */
  get last(): SeenRequest {
    const request = this.requests.at(-1);
    if (request === undefined) throw new Error("no request reached the backend");
    return request;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#backend[Symbol.asyncDispose]();
  }

  async #serve(connection: RawConnection, index: number, answer: Answer, options: RecorderOptions): Promise<void> {
    const reader = new StrictReader(connection);
    while (true) {
      const request = await reader.head(index);
      if (request === undefined) return;
      this.requests.push(request);
      const interim = await options.onHead?.(request, connection);
      if (typeof interim === "string") await connection.send(interim);
      const whole = await reader.body(request, options.onBody).finally(() => request.ended = true);
      if (!whole) return;
      const response = await answer(request, connection);
      if (response === undefined) return;
      await connection.send(response);
    }
  }
}

/** 200 with a line that contains method, target and length of the body. */
export function echoOf({ method, target, bodyBytes }: SeenRequest): string {
  const text = `${method} ${target} ${bodyBytes}`;
  return `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${method === "HEAD" ? "" : text}`;
}

/** A response with a body and whatever header lines (each with its CRLF). */
export function ok(body: string, headers = ""): string {
  return `HTTP/1.1 200 OK\r\n${headers}Content-Length: ${new TextEncoder().encode(body).length}\r\n\r\n${body}`;
}

/** All values of a request's header, by lower-case name. */
export function valuesOf(request: Pick<SeenRequest, "headers">, name: string): string[] {
  return request.headers.filter((line) => line[0].toLowerCase() === name).map((line) => line[1]);
}

/** A character for each byte. (`TextDecoder` knows windows-1252 only, which has others from 0x80 to 0x9f.) */
function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Reads requests from a connection strictly. */
class StrictReader {
  readonly #connection: RawConnection;
  #buffer = new Uint8Array(0);

  constructor(connection: RawConnection) {
    this.#connection = connection;
  }

  /** The next head; `undefined` when the connection ended between requests. */
  async head(connection: number): Promise<SeenRequest | undefined> {
    const first = await this.#line();
    if (first === undefined) return undefined;
    const [, method, target] = REQUEST_LINE.exec(first) ?? [];
    if (method === undefined || target === undefined) throw new Violation(`request line ${JSON.stringify(first)}`);
    const headers = await this.#lines();
    if (headers === undefined) return undefined;
    const request = { headers };
    const hosts = valuesOf(request, "host");
    const lengths = valuesOf(request, "content-length");
    const codings = valuesOf(request, "transfer-encoding");
    if (hosts.length !== 1) throw new Violation(`${hosts.length} Host headers`);
    if (lengths.length + codings.length > 1) throw new Violation(`framed by ${[...lengths, ...codings].join(" and ")}`);
    if (lengths.some((length) => !/^\d{1,15}$/.test(length))) throw new Violation(`Content-Length: ${lengths[0]}`);
    if (codings.some((coding) => coding.toLowerCase() !== "chunked")) {
      throw new Violation(`Transfer-Encoding: ${codings[0]}`);
    }
    const framing = codings.length > 0 ? "chunked" : lengths.length > 0 ? "length" : "none";
    return {
      method,
      target,
      headers,
      framing,
      connection,
      bodyBytes: 0,
      body: new Uint8Array(0),
      trailers: [],
      complete: false,
      ended: false,
    };
  }

  /** Reads the body into the request. `false` when it broke off. */
  async body(request: SeenRequest, onBody: RecorderOptions["onBody"]): Promise<boolean> {
    const parts: Uint8Array[] = [];
    const take = (piece: Uint8Array<ArrayBuffer>) => {
      request.bodyBytes += piece.length;
      if (onBody === undefined) parts.push(piece);
      else onBody(piece, request);
    };
    const ended = request.framing === "none" ||
      (request.framing === "length"
        ? await this.#exactly(Number(valuesOf(request, "content-length")[0]), take)
        : await this.#chunks(request.trailers, take));
    if (!ended) return false;
    request.body = concat(parts);
    request.complete = true;
    return true;
  }

  async #chunks(trailers: Line[], take: (piece: Uint8Array<ArrayBuffer>) => void): Promise<boolean> {
    while (true) {
      const line = await this.#line();
      if (line === undefined) return false;
      const size = CHUNK_LINE.exec(line)?.[1];
      if (size === undefined) throw new Violation(`chunk size ${JSON.stringify(line)}`);
      if (parseInt(size, 16) === 0) {
        const lines = await this.#lines();
        trailers.push(...lines ?? []);
        return lines !== undefined;
      }
      if (!await this.#exactly(parseInt(size, 16), take)) return false;
      const end = await this.#line();
      if (end === undefined) return false;
      if (end !== "") throw new Violation(`behind a chunk: ${JSON.stringify(end)}`);
    }
  }

  async #exactly(length: number, take: (piece: Uint8Array<ArrayBuffer>) => void): Promise<boolean> {
    let missing = length;
    while (missing > 0) {
      if (this.#buffer.length === 0 && !await this.#fill()) return false;
      const piece = this.#buffer.slice(0, missing);
      this.#buffer = this.#buffer.subarray(piece.length);
      missing -= piece.length;
      take(piece);
    }
    return true;
  }

  /** Header lines up to the empty one. */
  async #lines(): Promise<Line[] | undefined> {
    const lines: Line[] = [];
    while (true) {
      const text = await this.#line();
      if (text === undefined || text === "") return text === undefined ? undefined : lines;
      const [, name, value] = HEADER_LINE.exec(text) ?? [];
      if (name === undefined || value === undefined) throw new Violation(`header line ${JSON.stringify(text)}`);
      lines.push([name, value]);
    }
  }

  /** One line without its CRLF; `undefined` when the connection ended in it. */
  async #line(): Promise<string | undefined> {
    let end: number;
    while ((end = this.#buffer.indexOf(0x0a)) === -1) {
      if (!await this.#fill()) return undefined;
    }
    const text = latin1(this.#buffer.subarray(0, end + 1));
    this.#buffer = this.#buffer.subarray(end + 1);
    if (!text.endsWith("\r\n")) throw new Violation(`bare LF behind ${JSON.stringify(text)}`);
    return text.slice(0, -2);
  }

  async #fill(): Promise<boolean> {
    const chunk = await this.#connection.read();
    if (chunk === undefined) return false;
    this.#buffer = this.#buffer.length === 0 ? chunk : concat([this.#buffer, chunk]);
    return true;
  }
}
