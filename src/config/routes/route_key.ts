/** The key of a route, `HOST/PATH`, as the configuration writes it. */

import { plainForm } from "../../http1/path_form.ts";

/** A host as a key names it. Names are in lower case. */
export type HostPattern =
  | { readonly kind: "exact"; readonly name: string }
  /** `*.example.com`: one label or more in front of `suffix`, which begins with a dot. */
  | { readonly kind: "wildcard"; readonly suffix: string }
  | { readonly kind: "any" };

/** A key in the form in which keys are compared. */
export interface RouteKey {
  readonly host: HostPattern;
  /** In its plain form; of a prefix without the `/*` at its end. */
  readonly path: string;
  /** Whether it takes the path, and all that go on behind a slash. */
  readonly isPrefix: boolean;
}

/** What is wrong with a key, and what was expected. */
export class MalformedKey extends Error {
  override name = "MalformedKey";
}

const HOST_SHAPE = /^(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/;
const ADDRESS_SHAPE = /^\[[0-9a-f:.]+\]$/;
const PATH_SHAPE = /^\/[!-~]*$/;

/**
 * Reads a key.
 *
 * @throws {MalformedKey} when it is not a host, a slash and a path; when a `*` stands anywhere but for the host, as its
 * first label or as the path's last segment; when the path holds a query, a fragment or a malformed escape
 */
export function parseRouteKey(text: string): RouteKey {
  const slash = text.indexOf("/");
  if (slash === -1) throw new MalformedKey(`want HOST/PATH, such as ${text.replace(/\*+$/, "") || "*"}/*`);
  if (text.startsWith("://", slash - 1)) {
    throw new MalformedKey(`want a host without a scheme, such as ${text.slice(slash + 2)}`);
  }
  if (slash === 0) throw new MalformedKey(`want a host in front of the path, such as *${text}`);
  return { host: parseHost(text.slice(0, slash)), ...parsePath(text.slice(slash)) };
}

function parseHost(text: string): HostPattern {
  if (text === "*") return { kind: "any" };
  const name = text.toLowerCase().replace(/\.$/, "");
  if (/:\d*$/.test(name) && !ADDRESS_SHAPE.test(name)) throw new MalformedKey("want a host without a port");
  if (name.startsWith("*.") && HOST_SHAPE.test(name.slice(2))) return { kind: "wildcard", suffix: name.slice(1) };
  if (name.includes("*")) throw new MalformedKey("want * for any host, or *. in front of a name");
  if (HOST_SHAPE.test(name)) return { kind: "exact", name };
  const ascii = asciiName(name);
  if (ascii !== undefined) throw new MalformedKey(`want the host as browsers send it, ${ascii}`);
  const address = ADDRESS_SHAPE.test(name) ? URL.parse(`http://${name}`)?.hostname : undefined;
  if (address === undefined) {
    throw new MalformedKey("want a host name, an IPv4 address, or an IPv6 address in brackets");
  }
  return { kind: "exact", name: address };
}

/** A name with letters beyond ASCII, in the form in which requests name it (RFC 5891); `undefined` for another text. */
function asciiName(name: string): string | undefined {
  const ascii = /[^\0-\x7f]/.test(name) ? URL.parse(`http://${name}`)?.hostname : undefined;
  return ascii !== undefined && HOST_SHAPE.test(ascii) ? ascii : undefined;
}

function parsePath(text: string): { readonly path: string; readonly isPrefix: boolean } {
  const isPrefix = text.endsWith("/*");
  const path = isPrefix ? text.slice(0, -2) : text;
  if (path.includes("*")) throw new MalformedKey("want * in a path as its last segment alone");
  if (/[?#]/.test(path)) throw new MalformedKey("want a path without a query or fragment");
  if (/%(?![0-9A-Fa-f]{2})/.test(path)) throw new MalformedKey("want two hexadecimal digits behind each %");
  if (path.includes("%00")) throw new MalformedKey("want a path without %00, which no request may hold");
  if (path !== "" && !PATH_SHAPE.test(path)) {
    throw new MalformedKey("want visible ASCII characters in a path, others escaped (%C3%BC)");
  }
  const plain = plainForm(path);
  if (hasDotSegment(plain)) throw new MalformedKey("want a path without . and .. as segments");
  return { path: plain, isPrefix };
}

/** Whether a path in its plain form has a segment `.` or `..`. Clients resolve these before they send a path. */
export function hasDotSegment(path: string): boolean {
  return /\/\.\.?(?:\/|$)/.test(path);
}

/** The host as it stands in a key. */
export function hostName(host: HostPattern): string {
  switch (host.kind) {
    case "any":
      return "*";
    case "wildcard":
      return `*${host.suffix}`;
    case "exact":
      return host.name;
  }
}

/** The key as text. Two keys that take the same requests have the same text. */
export function keyText({ host, path, isPrefix }: RouteKey): string {
  return `${hostName(host)}${path}${isPrefix ? "/*" : ""}`;
}
