/** Writes a response to a client that may read it slowly, but must not stop reading. */

import { Buffer } from "node:buffer";
import { Deadline } from "./deadline.ts";
import { reasonPhrase } from "./reason_phrases.ts";

/** The client does not read what it is sent. */
export class ClientLeft extends Error {
  override readonly name = "ClientLeft";
}

/** Writes bytes to a client, as long as the client reads some of them within the limit. */
export class Outlet {
  readonly #link: Pick<Deno.Conn, "write">;
  readonly #limitMs: () => number;
  readonly #stalled: () => void;
  readonly #deadline = new Deadline();

  /**
   * @param limitMs how long a client may read nothing. 0: no limit
   * @param stalled called when that time has passed; must close the connection
   */
  constructor(link: Pick<Deno.Conn, "write">, limitMs: () => number, stalled: () => void) {
    this.#link = link;
    this.#limitMs = limitMs;
    this.#stalled = stalled;
  }

  /**
   * Writes all of `bytes`.
   *
   * @throws {ClientLeft}
   */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let written = 0; written < bytes.length;) {
        this.#deadline.start(this.#limitMs(), this.#stalled);
        written += await this.#link.write(bytes.subarray(written));
      }
    } catch (error) {
      throw new ClientLeft("the connection takes nothing more", { cause: error });
    } finally {
      this.#deadline.stop();
    }
  }
}

/** What the form of a response depends on. */
export interface AnswerContext {
  readonly method: string;
  readonly minorVersion: number;
  /** Whether the connection is to be kept. */
  readonly keep: boolean;
}

/** How a body goes out. */
type Framing = "none" | "length" | "chunked" | "until-close";

/**
 * Writes a whole response. Returns whether another may follow on its connection. When the body fails, the connection
 * must be cut, so that the client notices.
 *
 * @throws {ClientLeft}
 */
export async function writeAnswer(response: Response, context: AnswerContext, outlet: Outlet): Promise<boolean> {
  const { status, headers, body } = response;
  const framing = framingFor(response, context);
  const keep = context.keep && framing !== "until-close" && headers.get("connection") !== "close";
  const head = Buffer.from(headText(status, headers, framing, { ...context, keep }), "latin1");
  if (body === null || framing === "none") {
    await outlet.write(head);
    await body?.cancel();
    return keep;
  }
  await writeBody(head, body.getReader(), framing, outlet);
  return keep;
}

function framingFor({ status, headers, body }: Response, { method, minorVersion }: AnswerContext): Framing {
  if (method === "HEAD" || status === 204 || status === 304) return "none";
  if (body === null || headers.has("content-length")) return "length";
  return minorVersion === 1 ? "chunked" : "until-close";
}

function headText(status: number, headers: Headers, framing: Framing, { keep, minorVersion }: AnswerContext): string {
  let text = `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n`;
  for (const [name, value] of headers) {
    if (name !== "connection") text += `${name}: ${value}\r\n`;
  }
  if (framing === "length" && !headers.has("content-length")) text += "content-length: 0\r\n";
  if (framing === "chunked") text += "transfer-encoding: chunked\r\n";
  if (!keep) text += "connection: close\r\n";
  else if (minorVersion === 0) text += "connection: keep-alive\r\n";
  return `${text}date: ${new Date().toUTCString()}\r\n\r\n`;
}

async function writeBody(
  head: Buffer,
  reader: ReadableStreamDefaultReader<Uint8Array>,
  framing: Framing,
  outlet: Outlet,
): Promise<void> {
  try {
    // A body with a length is complete: one write for the head and its first part. A stream may have no data for long.
    let first: Buffer | undefined = framing === "length" ? head : undefined;
    if (first === undefined) await outlet.write(head);
    while (true) {
      const { done, value } = await reader.read();
      if (done) break;
      const chunk = framing === "chunked" ? inChunk(value) : value;
      if (chunk.length === 0) continue;
      await outlet.write(first === undefined ? chunk : Buffer.concat([first, chunk]));
      first = undefined;
    }
    if (first !== undefined) await outlet.write(first);
    if (framing === "chunked") await outlet.write(LAST_CHUNK);
  } catch (error) {
    await reader.cancel().catch(() => {}); // the body has failed already
    throw error;
  }
}

const LAST_CHUNK = Buffer.from("0\r\n\r\n");

/** A chunk; nothing for an empty one, because a chunk of length 0 ends the body. */
function inChunk(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return bytes;
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
}
