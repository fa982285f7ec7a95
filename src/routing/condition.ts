/** What a route's `when` asks of a request. */

import { cookieValue } from "../http1/cookie.ts";
import { AddressRanges } from "../net/address_ranges.ts";

/** What routing may know of a request beside its host and path. */
export interface RoutedRequest {
  readonly method: string;
  /** Path and query as the client sent them. */
  readonly target: string;
  /** The client's IP address, as `trustForwarded` yields it. */
  readonly client: string;
  /** The value of a header (lower-case name), or `undefined`. */
  header(name: string): string | undefined;
}

/** What a value has to be: this text, a text that begins so (`abc*`), anything (`*`); `null`: it is not there. */
export type ValueRule = string | null;

/** As the configuration writes it. All that are given have to hold. */
export interface When {
  readonly method?: readonly string[] | undefined;
  readonly header?: Readonly<Record<string, ValueRule>> | undefined;
  readonly cookie?: Readonly<Record<string, ValueRule>> | undefined;
  readonly query?: Readonly<Record<string, ValueRule>> | undefined;
  /** Addresses and CIDR ranges. */
  readonly client?: readonly string[] | undefined;
}

/** A part of `when` that did not hold: its place in the configuration, and what the request has there. */
export interface Mismatch {
  /** Such as `header.X-Beta`. */
  readonly where: string;
  readonly got: string | undefined;
}

interface Test {
  readonly where: string;
  readonly holds: (value: string | undefined) => boolean;
  readonly valueIn: (request: RoutedRequest) => string | undefined;
}

/** Built once for a configuration. */
export class Condition {
  readonly #tests: readonly Test[];

  constructor({ method, header = {}, cookie = {}, query = {}, client }: When) {
    const tests: Test[] = [];
    if (method !== undefined) {
      const methods = new Set(method);
      tests.push({ where: "method", holds: (value) => methods.has(value ?? ""), valueIn: ({ method }) => method });
    }
    if (client !== undefined) {
      const ranges = new AddressRanges(client);
      tests.push({ where: "client", holds: (value) => ranges.has(value ?? ""), valueIn: ({ client }) => client });
    }
    for (const [name, rule] of Object.entries(header)) {
      const field = name.toLowerCase();
      tests.push({ where: `header.${name}`, holds: holdsFor(rule), valueIn: (request) => request.header(field) });
    }
    for (const [name, rule] of Object.entries(cookie)) {
      const valueIn = (request: RoutedRequest) => cookieValue(request.header("cookie"), name);
      tests.push({ where: `cookie.${name}`, holds: holdsFor(rule), valueIn });
    }
    for (const [name, rule] of Object.entries(query)) {
      const valueIn = ({ target }: RoutedRequest) => queryValue(target, name);
      tests.push({ where: `query.${name}`, holds: holdsFor(rule), valueIn });
    }
    this.#tests = tests;
  }

  holds(request: RoutedRequest): boolean {
    for (const { holds, valueIn } of this.#tests) if (!holds(valueIn(request))) return false;
    return true;
  }

  /** The first part that does not hold; `undefined`: all do. */
  mismatch(request: RoutedRequest): Mismatch | undefined {
    for (const { where, holds, valueIn } of this.#tests) {
      const got = valueIn(request);
      if (!holds(got)) return { where, got };
    }
    return undefined;
  }
}

function holdsFor(rule: ValueRule): (value: string | undefined) => boolean {
  if (rule === null) return (value) => value === undefined;
  if (rule === "*") return (value) => value !== undefined;
  if (!rule.endsWith("*")) return (value) => value === rule;
  const beginning = rule.slice(0, -1);
  return (value) => value?.startsWith(beginning) === true;
}

/** The decoded value of the first parameter of that name in a target's query; `""` where it has none. */
export function queryValue(target: string, name: string): string | undefined {
  let start = target.indexOf("?") + 1;
  if (start === 0) return undefined;
  while (start <= target.length) {
    let end = target.indexOf("&", start);
    if (end === -1) end = target.length;
    let equals = target.indexOf("=", start);
    if (equals === -1 || equals > end) equals = end;
    if (equals > start && decoded(target.slice(start, equals)) === name) return decoded(target.slice(equals + 1, end));
    start = end + 1;
  }
  return undefined;
}

/** As forms encode it (application/x-www-form-urlencoded); what is malformed stays as it is. */
function decoded(text: string): string {
  const spaced = text.replaceAll("+", " ");
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}
