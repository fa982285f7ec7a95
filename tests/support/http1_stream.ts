/** Reads messages out of a stream with the codec, as an engine would: bytes in pieces, one message after the other. */

import { Buffer } from "node:buffer";
import type { BodyFraming } from "../../src/http1/body.ts";
import { ChunkedReader } from "../../src/http1/chunked.ts";
import { findHeadEnd, findResponseHeadEnd } from "../../src/http1/head.ts";
import { MalformedMessage } from "../../src/http1/malformed.ts";
import { type Http1Request, readRequestHead } from "../../src/http1/request_head.ts";
import { type Http1Response, readResponseHead } from "../../src/http1/response_head.ts";

/** A head, and the part of the body that has arrived. */
export interface ReadMessage<Head> {
  readonly head: Head;
  /** Where its body begins in the stream. */
  readonly bodyAt: number;
  /** One character for each byte. */
  body: string;
  /** Where it ends in the stream; `undefined`: it is not complete. */
  end: number | undefined;
}

/** The messages of a stream. */
export interface ReadStream<Head> {
  readonly messages: ReadMessage<Head>[];
  /** Why reading stopped. */
  refused: string | undefined;
  /** The stream as it is sent on, with the corrections of the codec. Only the codec sets it. */
  passed: string;
}

/** The limit for trailers. */
export const MOST_TRAILER_BYTES = 1024;

/** Reads requests until one is refused. */
export function readRequests(pieces: readonly Buffer[]): ReadStream<Http1Request> {
  return readStream(pieces, findHeadEnd, (bytes, start, end) => ({
    head: readRequestHead(bytes, start, end),
    bodyAt: end,
  }));
}

/** Reads answers to requests with `method` until one is refused. */
export function readResponses(pieces: readonly Buffer[], method: string): ReadStream<Http1Response> {
  return readStream(pieces, findResponseHeadEnd, (bytes, start, end) => {
    const head = readResponseHead(bytes, start, end, method);
    return { head, bodyAt: start + head.bytes };
  });
}

/** The bytes of a text whose characters are all below 256. */
export function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

function readStream<Head extends { readonly framing: BodyFraming }>(
  pieces: readonly Buffer[],
  findEnd: typeof findHeadEnd,
  readHead: (bytes: Buffer, start: number, end: number) => Pick<ReadMessage<Head>, "head" | "bodyAt">,
): ReadStream<Head> {
  const stream: ReadStream<Head> = { messages: [], refused: undefined, passed: "" };
  // Room behind what has come holds what an earlier use of the buffer left: it must never be looked at.
  const bytes = Buffer.alloc(pieces.reduce((sum, { length }) => sum + length, 64), "\r\n");
  let start = 0;
  let looked = 0;
  let end = 0;
  let body: ((from: number, to: number) => number) | undefined;
  let message: ReadMessage<Head> | undefined;
  try {
    for (const piece of pieces) {
      end += piece.copy(bytes, end);
      while (start < end || message !== undefined) {
        if (message === undefined) {
          const headEnd = findEnd(bytes, start, Math.max(start, looked), end);
          looked = end;
          if (headEnd === -1) break;
          message = { ...readHead(bytes, start, headEnd), body: "", end: undefined };
          stream.messages.push(message);
          body = bodyOf(message, bytes);
          start = message.bodyAt;
        }
        start = body?.(start, end) ?? start;
        if (message.end === undefined) break;
        message = undefined;
        looked = start;
      }
    }
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    stream.refused = error.message;
  }
  stream.passed = bytes.toString("latin1", 0, end);
  return stream;
}

/** Returns a function that reads more of the body, reports where it is, and records the end of the message. */
function bodyOf<Head extends { readonly framing: BodyFraming }>(message: ReadMessage<Head>, bytes: Buffer) {
  const { framing } = message.head;
  const onData = (_: Uint8Array, from: number, to: number) => {
    message.body += bytes.toString("latin1", from, to);
  };
  const chunks = framing.kind === "chunked" ? new ChunkedReader(MOST_TRAILER_BYTES) : undefined;
  let left = framing.kind === "length" ? framing.bytes : Infinity;
  return (from: number, to: number): number => {
    if (chunks !== undefined) {
      const at = chunks.read(bytes, from, to, onData);
      if (chunks.done) message.end = at;
      return at;
    }
    const at = Math.min(to, from + left);
    onData(bytes, from, at);
    left -= at - from;
    if (left === 0) message.end = at;
    return at;
  };
}
