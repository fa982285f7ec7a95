/**
 * Reads a stream of requests with regular expressions from the grammar of RFC 9110 and 9112. It is slow, independent of
 * the codec, and as strict. The text has one character for each byte.
 */

import type { BodyFraming } from "../../src/http1/body.ts";
import type { Field } from "../../src/http1/head.ts";
import type { Http1Request } from "../../src/http1/request_head.ts";
import { MOST_TRAILER_BYTES, type ReadMessage, type ReadStream } from "./http1_stream.ts";

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const TEXT = "[\\t\\x20-\\x7e\\x80-\\xff]*";
const LINES = `(?:${TOKEN}:${TEXT}\\r\\n)*`;

const HEAD = new RegExp(`(${TOKEN}) ([\\x21-\\x22\\x24-\\x7e]+) HTTP/1\\.([01])\\r\\n(${LINES})\\r\\n`, "y");
const QUOTED_BEGUN = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t\\x20-\\x7e\\x80-\\xff])*';
const EXTENSIONS = `(?:[ \\t]*;[ \\t]*${TOKEN}(?:=(?:${TOKEN}|${QUOTED_BEGUN}"))?)*`;
const CHUNK_LINE = new RegExp(`([0-9A-Fa-f]+)${EXTENSIONS}\\r\\n`, "y");
const CHUNK_LINE_BEGUN = new RegExp(
  `^(?:([0-9A-Fa-f]+)${EXTENSIONS}(?:\\r|[ \\t]+|[ \\t]*;[ \\t]*(?:${TOKEN}(?:=(?:${QUOTED_BEGUN}\\\\?)?)?)?)?)?$`,
);
const NO_CONTROL_FIELD = "(?!(?:content-length|transfer-encoding|host|connection|upgrade):)";
const TRAILER_LINES = LINES.replace("(?:", `(?:${NO_CONTROL_FIELD}`);
const TRAILERS = new RegExp(`${TRAILER_LINES}\\r\\n`, "yi");
const TRAILERS_BEGUN = new RegExp(
  `^${TRAILER_LINES}${NO_CONTROL_FIELD}(?:${TOKEN}(?::${TEXT}\\r?)?|\\r)?$`,
  "i",
);

/** Text that is not HTTP/1.1. */
class Refused extends Error {}

/** Reads requests until one is refused. */
export function oracleRequests(text: string): ReadStream<Http1Request> {
  const stream: ReadStream<Http1Request> = { messages: [], refused: undefined, passed: "" };
  let at = 0;
  try {
    while (true) {
      const found = matchAt(HEAD, text, at);
      if (found === undefined) {
        const rest = text.slice(at);
        if (/\r\n\r\n|^\n|[^\r]\n/.test(rest)) throw new Refused("no head");
        return stream;
      }
      const bodyAt = at + found[0].length;
      const message: ReadMessage<Http1Request> = { head: headOf(found), bodyAt, body: "", end: undefined };
      stream.messages.push(message);
      readBody(message, text, bodyAt);
      if (message.end === undefined) return stream;
      at = message.end;
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    stream.refused = error.message;
    return stream;
  }
}

function headOf([text, method = "", rawTarget = "", minor, lines = ""]: RegExpExecArray): Http1Request {
  const minorVersion = Number(minor);
  const fields = lines.split("\r\n").slice(0, -1).map((line): Field => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "")];
  });
  const bounds = lines.split("\r\n").map((_, index, all) =>
    text.length - 2 - lines.length + all.slice(0, index).join("\r\n").length + (index === 0 ? 0 : 2)
  );
  if (fields.length > 128) throw new Refused("fields");
  const [host, ...hosts] = valuesOf(fields, "host");
  if (hosts.length > 0 || (host === undefined && minorVersion === 1)) throw new Refused("host");
  const options = valuesOf(fields, "connection").flatMap((value) => value.toLowerCase().split(/[ \t]*,[ \t]*/));
  const protocols = valuesOf(fields, "upgrade");
  const switches = minorVersion === 1 && options.includes("upgrade") && protocols.length > 0;
  const { target, authority = host } = targetOf(method, rawTarget);
  return {
    method,
    target,
    authority,
    minorVersion,
    fields,
    text,
    bounds,
    framing: framingOf(fields, minorVersion),
    keepAlive: !options.includes("close") && (minorVersion === 1 || options.includes("keep-alive")),
    upgrade: switches ? protocols.join(",") : undefined,
  };
}

function targetOf(method: string, target: string): { target: string; authority?: string } {
  if (/^\//.test(target) || method === "CONNECT" || (target === "*" && method === "OPTIONS")) return { target };
  const [, authority, path, query] = /^https?:\/\/([^/?]*)(\/[^?]*)?(\?.*)?$/i.exec(target) ?? [];
  if (authority === undefined) throw new Refused("target");
  if (path === undefined && query === undefined && method === "OPTIONS") return { target: "*", authority };
  return { target: `${path ?? "/"}${query ?? ""}`, authority };
}

function framingOf(fields: readonly Field[], minorVersion: number): BodyFraming {
  const lengths = valuesOf(fields, "content-length");
  const codings = valuesOf(fields, "transfer-encoding");
  if (lengths.length + codings.length > 1) throw new Refused("two framings");
  const [length] = lengths;
  const [coding] = codings;
  if (coding !== undefined) {
    if (!/^chunked$/i.test(coding) || minorVersion === 0) throw new Refused("transfer coding");
    return { kind: "chunked" };
  }
  if (length !== undefined && !/^[0-9]{1,15}$/.test(length)) throw new Refused("length");
  return { kind: "length", bytes: Number(length ?? 0) };
}

function readBody(message: ReadMessage<Http1Request>, text: string, at: number): void {
  const { framing } = message.head;
  if (framing.kind !== "length") return readChunks(message, text, at);
  message.body = text.slice(at, at + framing.bytes);
  if (message.body.length === framing.bytes) message.end = at + framing.bytes;
}

function readChunks(message: ReadMessage<Http1Request>, text: string, at: number): void {
  while (true) {
    const line = matchAt(CHUNK_LINE, text, at);
    const size = (line ?? CHUNK_LINE_BEGUN.exec(text.slice(at)))?.[1];
    if (parseInt(size ?? "0", 16) > 2 ** 48) throw new Refused("chunk size");
    if (line === undefined || size === undefined) return mayGoOn(CHUNK_LINE_BEGUN, text, at);
    const bytes = parseInt(size, 16);
    at += line[0].length;
    if (bytes === 0) break;
    message.body += text.slice(at, at + bytes);
    at += bytes;
    if (text.slice(at, at + 2) !== "\r\n") return mayGoOn(/^\r?$/, text, at);
    at += 2;
  }
  const trailers = matchAt(TRAILERS, text, at);
  if ((trailers?.[0] ?? text.slice(at)).length > MOST_TRAILER_BYTES) throw new Refused("long trailers");
  if (trailers === undefined) return mayGoOn(TRAILERS_BEGUN, text, at);
  message.end = at + trailers[0].length;
}

/** Refuses text that no further bytes could complete. */
function mayGoOn(begun: RegExp, text: string, at: number): void {
  if (!begun.test(text.slice(at))) throw new Refused("chunks");
}

function matchAt(expression: RegExp, text: string, at: number): RegExpExecArray | undefined {
  expression.lastIndex = at;
  return expression.exec(text) ?? undefined;
}

function valuesOf(fields: readonly Field[], wanted: string): string[] {
  return fields.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
}
