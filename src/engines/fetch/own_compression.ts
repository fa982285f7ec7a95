/** Compresses the responses of a route that has `compression` for itself, where the runtime compresses none. */

import type { Buffer } from "node:buffer";
import type { HeaderPair, RequestHead } from "../../proxy/message.ts";
import { forCompression, mayBeCompressed } from "./compression.ts";
import type { Gathered } from "./gather.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Smaller bodies hardly become smaller. */
const SMALLEST_BYTES = 256;

const COMPRESSIBLE =
  /^(?:text\/.+|.+\+(?:json|xml|text)|application\/(?:json|javascript|xml|wasm|x-ndjson|graphql|toml|yaml))$/;

/** Only where it is needed: with `node:process`, an import takes 14 ms of the start. */
const zlib = () => globalThis.process.getBuiltinModule("node:zlib");

/** What the client gets of a response. */
export interface Packing {
  readonly headers: HeaderPair[];
  /** Whether the body has to be compressed. */
  readonly packs: boolean;
}

export function packingOf(request: RequestHead, status: number, headers: HeaderPair[]): Packing {
  if (status === 304) return { headers: forCompression(request, status, headers), packs: false };
  const hasBody = status !== 204 && status !== 205;
  if (!hasBody || !mayBeCompressed(headers) || !COMPRESSIBLE.test(typeOf(headers)) || isShort(headers)) {
    return { headers, packs: false };
  }
  const varied = headers.filter(([name]) => name !== "vary");
  varied.push(["vary", [...valuesOf(headers, "vary"), "Accept-Encoding"].join(", ")]);
  if (!acceptsGzip(request)) return { headers: varied, packs: false };
  const told: HeaderPair[] = [["content-encoding", "gzip"]];
  for (const pair of forCompression(request, status, varied)) {
    if (pair[0] === "content-length") continue;
    told.push(pair[0] === "etag" && !pair[1].startsWith("W/") ? ["etag", `W/${pair[1]}`] : pair);
  }
  return { headers: told, packs: true };
}

/** Compresses a body. What arrives is passed on at once, so that event streams stay streams. */
export function gzip(body: Gathered): Gathered {
  return body instanceof Uint8Array ? new Uint8Array(zlib().gzipSync(body)) : body.pipeThrough(gzipStream());
}

function gzipStream(): TransformStream<Bytes, Bytes> {
  const { constants, createGzip } = zlib();
  const packer = createGzip();
  return new TransformStream<Bytes, Bytes>({
    start(controller) {
      packer.on("data", (part: Buffer) => controller.enqueue(new Uint8Array(part)));
    },
    transform(part) {
      return new Promise<void>((resolve) => {
        packer.write(part);
        packer.flush(constants.Z_SYNC_FLUSH, resolve);
      });
    },
    flush() {
      return new Promise<void>((resolve) => {
        packer.once("end", resolve);
        packer.end();
      });
    },
    cancel() {
      packer.close();
    },
  });
}

function acceptsGzip({ headers }: RequestHead): boolean {
  return valuesOf(headers, "accept-encoding").join().toLowerCase().split(",").some((coding) => {
    const [name = "", ...parameters] = coding.split(";").map((part) => part.trim());
    return (name === "gzip" || name === "x-gzip") && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter));
  });
}

function typeOf(headers: readonly HeaderPair[]): string {
  return (valuesOf(headers, "content-type")[0] ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

function isShort(headers: readonly HeaderPair[]): boolean {
  const [length] = valuesOf(headers, "content-length");
  return length !== undefined && Number(length) < SMALLEST_BYTES;
}

function valuesOf(headers: readonly HeaderPair[], name: string): string[] {
  return headers.filter((pair) => pair[0] === name).map(([, value]) => value);
}
