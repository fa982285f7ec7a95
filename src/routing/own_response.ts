/** `redirect` and `respond`: answers that no backend gives. */

import { Location, type RedirectedRequest } from "../config/routes/location.ts";
import type { Respond } from "../config/schema/respond.ts";
import type { RouteEntry } from "../config/schema/routes.ts";
import { reasonPhrase } from "../http1/reason_phrase.ts";

type HeaderPair = [name: string, value: string];

/** A response as an entry describes it. It is complete but for what belongs to the connection and to the request. */
export interface OwnResponse {
  readonly status: number;
  /** The reason phrase. */
  readonly title: string;
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Returns the response to a request; `undefined`: it can't be given, because its file could not be read. */
export type Responder = (request: RedirectedRequest) => OwnResponse | undefined;

/** Returns the content of a file; `undefined`: it can't be read. */
export type ReadFile = (path: string) => Uint8Array<ArrayBuffer> | undefined;

const NO_BODY = new Uint8Array();

/** Returns what answers the requests of an entry; `undefined`: a pool does. */
export function responderFor(
  { redirect, status, respond }: RouteEntry,
  read: ReadFile = readFile,
): Responder | undefined {
  if (redirect !== null) return redirectTo(new Location(redirect), status);
  if (respond === null) return undefined;
  const response = fixedResponse(respond, read);
  return () => response;
}

/**
 * The files of one isolate. Moved weights make the routes anew, too, and then no check has said that the files are still
 * there. A file that can't be read any more keeps the content that was read for the configuration before.
 */
export class ResponseFiles {
  #contents: ReadonlyMap<string, Uint8Array<ArrayBuffer>> = new Map();

  /** Returns what reads the files of the next configuration. */
  next(): ReadFile {
    const before = this.#contents;
    const contents = new Map<string, Uint8Array<ArrayBuffer>>();
    this.#contents = contents;
    return (path) => {
      const content = readFile(path) ?? before.get(path);
      if (content !== undefined) contents.set(path, content);
      return content;
    };
  }
}

function redirectTo(location: Location, status: number): Responder {
  const title = reasonPhrase(status);
  return (request) => ({ status, title, headers: [["location", location.for(request)]], body: NO_BODY });
}

/** Reads the file, so that requests never wait for it. */
function fixedResponse(
  { status, body, file, contentType, headers }: Respond,
  read: ReadFile,
): OwnResponse | undefined {
  const content = file === null ? new TextEncoder().encode(body ?? "") : read(file);
  if (content === undefined) return undefined;
  const own = Object.entries(headers).map(([name, value]): HeaderPair => [name.toLowerCase(), value]);
  const typed = own.some(([name]) => name === "content-type") || (body === null && file === null);
  const type: HeaderPair[] = typed && contentType === null
    ? []
    : [["content-type", contentType ?? (file === null ? TEXT : typeOf(file))]];
  const others = contentType === null ? own : own.filter(([name]) => name !== "content-type");
  return { status, title: reasonPhrase(status), headers: [...type, ...others], body: content };
}

/** The configuration was checked with the file. It may have gone since: then its route alone suffers. */
function readFile(path: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Deno.readFileSync(path);
  } catch {
    return undefined;
  }
}

const TEXT = "text/plain; charset=utf-8";

/** What error pages, maintenance pages and files like `robots.txt` are made of. */
const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  gif: "image/gif",
  htm: "text/html; charset=utf-8",
  html: "text/html; charset=utf-8",
  ico: "image/x-icon",
  jpeg: "image/jpeg",
  jpg: "image/jpeg",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  md: "text/markdown; charset=utf-8",
  pdf: "application/pdf",
  png: "image/png",
  svg: "image/svg+xml",
  txt: TEXT,
  webmanifest: "application/manifest+json",
  webp: "image/webp",
  xml: "application/xml",
};

function typeOf(file: string): string {
  return TYPES[file.slice(file.lastIndexOf(".") + 1).toLowerCase()] ?? "application/octet-stream";
}
