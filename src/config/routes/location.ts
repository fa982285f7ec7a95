/** The `Location` of a redirect, from its template. */

import { pathEnd } from "../../http1/path_form.ts";
import { nearest } from "../nearest.ts";

/** What a template may name, and where it stands in a request. */
const VARIABLES = {
  scheme: ({ secure }: RedirectedRequest) => secure ? "https" : "http",
  host: ({ authority }: RedirectedRequest) => withoutPort(authority),
  path: ({ target }: RedirectedRequest) => pathIn(target),
  query: ({ target }: RedirectedRequest) => target.slice(pathEnd(target)),
  uri: ({ target }: RedirectedRequest) => target === "*" ? "/" : target,
} as const;

type Part = string | ((request: RedirectedRequest) => string);

/** What a location is made of. */
export interface RedirectedRequest {
  /** Whether the client's connection is encrypted, here or at a trusted proxy. */
  readonly secure: boolean;
  readonly authority: string;
  /** In origin form, or `*`. */
  readonly target: string;
}

/** What is wrong with a template, and what was expected. */
export class MalformedLocation extends Error {
  override name = "MalformedLocation";
}

/**
 * A template such as `https://example.com{uri}`.
 *
 * `{path}` and `{uri}` begin with a slash and may begin with two. At the beginning of a location that would name another
 * host (`//evil.example`), and behind a part of a name it would become part of that name. So they stand behind an authority.
 */
export class Location {
  readonly #parts: readonly Part[];

  /** @throws {MalformedLocation} when it names an unknown variable, or one that has to stand behind an authority */
  constructor(template: string) {
    const parts = template.split(/(\{[^}]*\})/).filter((part) => part !== "").map(parsePart);
    checkTemplate(template);
    this.#parts = parts;
  }

  for(request: RedirectedRequest): string {
    let location = "";
    for (const part of this.#parts) location += typeof part === "string" ? part : part(request);
    return location;
  }
}

/** A scheme and a host with or without a port, and nothing else that could belong to the host. */
const AUTHORITY = /^(?:https?|\{scheme\}):\/\/(?:\{host\}|[^{}/?#]+)(?::\d{1,5})?(?=$|[/?#]|\{(?:path|query|uri)\})/;

function checkTemplate(template: string): void {
  if (!/^[!-~]+$/.test(template)) throw new MalformedLocation("want visible ASCII characters");
  const authority = AUTHORITY.exec(template)?.[0];
  if (authority === undefined) {
    if (!/^\/(?![/\\])/.test(template)) throw new MalformedLocation("want a path, or http:// or https:// with a host");
    if (/\{(?:path|uri)\}/.test(template)) {
      throw new MalformedLocation("want {path} and {uri} behind a host, as in {scheme}://{host}{uri}");
    }
  }
  if (/\{(?:scheme|host)\}/.test(template.slice(authority?.length ?? 0))) {
    throw new MalformedLocation("want {scheme} and {host} at the beginning, as in {scheme}://{host}{uri}");
  }
}

function parsePart(part: string): Part {
  if (!part.startsWith("{")) return part;
  const variable = Object.entries(VARIABLES).find(([name]) => `{${name}}` === part);
  if (variable !== undefined) return variable[1];
  const known = Object.keys(VARIABLES);
  const meant = nearest(part.slice(1, -1), known);
  const hint = meant === undefined ? "" : `, did you mean {${meant}}?`;
  throw new MalformedLocation(`want one of ${known.map((name) => `{${name}}`).join(", ")}${hint}`);
}

function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(":");
  return colon > authority.lastIndexOf("]") ? authority.slice(0, colon) : authority;
}

function pathIn(target: string): string {
  return target === "*" ? "/" : target.slice(0, pathEnd(target));
}
