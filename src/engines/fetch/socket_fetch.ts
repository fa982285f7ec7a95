/**
 * Requests to backends on unix sockets. The runtime's `fetch` would send the whole URL as the target, which many servers
 * don't understand, and fail at once when the accept queue of the socket is full (Deno 2.9.6).
 */

import { Buffer } from "node:buffer";
import { messageOf, type ProxyError } from "../../errors.ts";
import { connectFailed, connectionLost, exhausted, malformedResponse } from "../../failures.ts";
import { findResponseHeadEnd } from "../../http1/head.ts";
import { MalformedMessage } from "../../http1/malformed.ts";
import { type Http1Response, readResponseHead } from "../../http1/response_head.ts";
import { closeQuietly } from "../../net/close_quietly.ts";
import { connectTo } from "../../net/endpoint.ts";
import { isExhaustion } from "../../net/exhaustion.ts";
import type { HeaderPair } from "../../proxy/message.ts";
import { SizedBody } from "./sized_body.ts";
import { SocketBody } from "./socket_body.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface SocketRequest {
  readonly path: string;
  readonly method: string;
  readonly target: string;
  /** Without those of the connection and of the body's framing. */
  readonly headers: readonly HeaderPair[];
  readonly body: ReadableStream<Bytes> | SizedBody | null;
  /** Ends the request. After the head of the response, its body fails. */
  readonly signal: AbortSignal;
}

/** The most bytes of a response's head. It is about as many as `fetch` takes. */
const MOST_HEAD_BYTES = 256 * 1024;

const READ_BYTES = 64 * 1024;

/** Methods for which servers expect a length, even if there is no body (RFC 9110 §8.6). */
const WITH_BODY: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/**
 * Sends a request over a new connection. Resolves with the response when its head has arrived. 1xx are skipped.
 *
 * @throws {ProxyError} when there is no usable response, or the reason of `signal`
 */
export async function fetchOverSocket(request: SocketRequest): Promise<Response> {
  const { signal } = request;
  const link = await connect(request);
  const giveUp = () => closeQuietly(link);
  signal.addEventListener("abort", giveUp);
  const end = () => {
    signal.removeEventListener("abort", giveUp);
    closeQuietly(link);
  };
  try {
    return await answerTo(request, link, end);
  } catch (error) {
    end();
    throw signal.aborted ? signal.reason : error;
  }
}

async function connect({ path, signal }: SocketRequest): Promise<Deno.Conn> {
  try {
    return await connectTo({ path }, signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (isExhaustion(error)) throw exhausted(error);
    throw connectFailed(messageOf(error).replace(/ \(os error \d+\)/, ""));
  }
}

/** @param end closes the connection; the body of the response calls it, too */
async function answerTo(request: SocketRequest, link: Deno.Conn, end: () => void): Promise<Response> {
  // A server may refuse a request before it has read it, so a failed write does not mean that there is no answer.
  const unsent = sendHead(link, request).then(() => sendBody(link, request.body));
  const broken = unsent.then(() => new Promise<never>(() => {}), (error) => {
    if (error instanceof BrokenUpload) throw error.cause;
    return new Promise<never>(() => {});
  });
  const response = await Promise.race([readHead(link, request.method, end), broken]);
  broken.catch(end); // a client that leaves now breaks the exchange off
  return response;
}

/** The client has broken the body off, or it may not go on. */
class BrokenUpload extends Error {}

function sendHead(link: Deno.Conn, { method, target, headers, body }: SocketRequest): Promise<void> {
  let head = `${method} ${target} HTTP/1.1\r\nconnection: close\r\n`;
  for (const [name, value] of headers) head += `${name}: ${value}\r\n`;
  if (body instanceof SizedBody) head += `content-length: ${body.size}\r\n`;
  else if (body !== null) head += "transfer-encoding: chunked\r\n";
  else if (WITH_BODY.has(method)) head += "content-length: 0\r\n";
  return writeAll(link, Buffer.from(`${head}\r\n`, "latin1"));
}

async function sendBody(link: Deno.Conn, body: SocketRequest["body"]): Promise<void> {
  if (body === null) return;
  const isSized = body instanceof SizedBody;
  const reader = (isSized ? body.stream() : body).getReader();
  try {
    while (true) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw new BrokenUpload("the upload broke off", { cause });
      });
      if (done) break;
      if (value.length === 0) continue;
      await writeAll(link, isSized ? value : chunk(value));
    }
    if (!isSized) await writeAll(link, Buffer.from("0\r\n\r\n"));
  } finally {
    reader.releaseLock();
  }
}

function chunk(data: Bytes): Uint8Array {
  return Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from("\r\n")]);
}

async function writeAll(link: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await link.write(bytes.subarray(sent));
}

/** Reads the head of the response, whose body is read later. */
async function readHead(link: Deno.Conn, method: string, onEnd: () => void): Promise<Response> {
  let bytes = Buffer.allocUnsafeSlow(READ_BYTES);
  let [start, end, seen] = [0, 0, 0];
  while (true) {
    const count = await link.read(bytes.subarray(end)).catch((error: unknown) => {
      throw lost(messageOf(error));
    });
    if (count === null) throw lost("the connection ended before the response");
    end += count;
    for (let headEnd; (headEnd = findResponseHeadEnd(bytes, start, start + seen, end)) !== -1; seen = 0) {
      const head = parse(bytes, start, headEnd, method);
      start += head.bytes;
      if (head.status >= 200) {
        return responseOf(
          head,
          new SocketBody({ link, framing: head.framing, begun: bytes.subarray(start, end), onEnd }),
        );
      }
      if (head.status === 101) throw malformedResponse("status 101");
    }
    seen = end - start;
    if (end - start > MOST_HEAD_BYTES) throw malformedResponse("the head is too large");
    if (end === bytes.length) {
      const larger = Buffer.allocUnsafeSlow(2 * Math.max(end - start, READ_BYTES / 2));
      larger.set(bytes.subarray(start, end));
      [bytes, start, end] = [larger, 0, end - start];
    }
  }
}

function parse(bytes: Buffer, start: number, end: number, method: string): Http1Response {
  try {
    return readResponseHead(bytes, start, end, method);
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    throw malformedResponse(error.message);
  }
}

function responseOf({ status, fields, framing }: Http1Response, body: SocketBody): Response {
  if (status > 599) throw malformedResponse(`status ${status}`);
  const isEmpty = framing.kind === "length" && framing.bytes === 0;
  if (isEmpty) body.close();
  return new Response(isEmpty || status === 205 ? null : body.stream(), { status, headers: fields as HeaderPair[] });
}

function lost(reason: string): ProxyError {
  return connectionLost(`connection lost: ${reason.replace(/ \(os error \d+\)/, "")}`);
}
