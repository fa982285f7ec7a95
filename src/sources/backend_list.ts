/** Reads a list of backends that a source has sent: URLs, backends in the file's words, or groups of targets. */

import { MAX_BACKENDS } from "../config/backend_limit.ts";
import { BACKEND_URL_WANTED, normaliseBackendUrl } from "../config/backend_url.ts";
import { readWith, show } from "../config/diagnostics.ts";
import { type BackendSpec, backendSpecSchema, PLAIN_TLS } from "../config/schema.ts";
import { formatPath, type Path } from "../config/setting_path.ts";
import { ConfigError, messageOf } from "../errors.ts";
import { type FoundBackend, SourceError } from "./source.ts";

/** The longest text of a list. The most backends with long names need less. */
export const MAX_LIST_BYTES = 4 * 1024 * 1024;

/** What an entry of a list may be. */
const ENTRY_WANTED = `a URL, an object with "url", or an object with "targets"`;

const TARGET_WANTED = `HOST:PORT, such as "10.0.0.1:8080"`;

/**
 * The backends of a list, which may be anything that was sent. A group of targets has the form that Prometheus reads:
 * `{"targets": ["HOST:PORT"]}`. Its label `__scheme__` may say `https`.
 *
 * @throws {SourceError} with the place of the first error, such as `[3].weight`
 */
export function readBackendList(value: unknown): readonly BackendSpec[] {
  return readList(value, new Map()).backends;
}

/** Reads the same list again and again. A text that has not changed costs nothing, and an entry of it little. */
export class ListReader {
  #text: string | undefined;
  #entries: ReadonlyMap<string, BackendSpec> = new Map();
  #found: readonly FoundBackend[] = [];

  /** @throws {SourceError} when it is no JSON, or no list of backends. The next call begins from scratch */
  read(text: string): readonly FoundBackend[] {
    if (text === this.#text) return this.#found;
    this.#text = undefined;
    const { backends, entries } = readList(parse(text), this.#entries);
    this.#entries = entries;
    this.#found = backends.map((spec) => ({ spec }));
    this.#text = text;
    return this.#found;
  }
}

/** @param known entries that were read before, by their text */
function readList(value: unknown, known: ReadonlyMap<string, BackendSpec>): FoundOnce {
  if (!Array.isArray(value)) throw new SourceError(`got ${show(value, [])}, want a list`);
  const found = new FoundOnce(known);
  for (const [index, entry] of value.entries()) {
    if (isGroup(entry)) readGroup(entry, [index], found);
    else {
      const text = typeof entry === "string" ? entry : JSON.stringify(entry);
      found.add(text, [index], (path) => readBackend(entry, path));
    }
  }
  return found;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SourceError(`want JSON: ${messageOf(error)}`);
  }
}

/**
 * One backend: a URL, or an object with the keys of a backend in the file.
 *
 * @throws {SourceError} with the place of the first error, below `path`
 */
export function readBackend(entry: unknown, path: Path = []): BackendSpec {
  if (typeof entry === "string") return plainBackend(readUrl(entry, path, BACKEND_URL_WANTED));
  if (!isObject(entry)) throw refusal(path, `got ${show(entry, [])}, want ${ENTRY_WANTED}`);
  const reading = readWith(backendSpecSchema, entry);
  if (reading.ok) return withSharedTls(reading.value);
  const [first] = reading.diagnostics;
  throw refusal([...path, ...first?.path ?? []], first?.text ?? `want ${ENTRY_WANTED}`);
}

/** A backend of which only this is known. The rest is default. `url` is normalised; `weight` is 1 to 256. */
export function plainBackend(url: string, weight = 1, backup = false): BackendSpec {
  return { url, weight, maxConnections: null, backup, tls: PLAIN_TLS };
}

/** Most say nothing of TLS. The same object for all of these is compared at no cost. */
function withSharedTls(spec: BackendSpec): BackendSpec {
  return JSON.stringify(spec.tls) === JSON.stringify(PLAIN_TLS) ? { ...spec, tls: PLAIN_TLS } : spec;
}

/** The backends found so far, each of them once. */
class FoundOnce {
  readonly backends: BackendSpec[] = [];
  /** By their text. */
  readonly entries = new Map<string, BackendSpec>();
  readonly #known: ReadonlyMap<string, BackendSpec>;
  readonly #places = new Map<string, Path>();

  constructor(known: ReadonlyMap<string, BackendSpec>) {
    this.#known = known;
  }

  /** Adds an entry. It is read only if it is not known. */
  add(text: string, path: Path, read: (path: Path) => BackendSpec): void {
    const spec = this.#known.get(text) ?? read(path);
    this.entries.set(text, spec);
    if (this.backends.length >= MAX_BACKENDS) throw new SourceError(`got more, want at most ${MAX_BACKENDS} backends`);
    const earlier = this.#places.get(spec.url);
    if (earlier !== undefined) throw refusal(path, `same backend as ${formatPath(earlier)} (${spec.url})`);
    this.#places.set(spec.url, path);
    this.backends.push(spec);
  }
}

function readGroup({ targets, labels }: Group, path: Path, found: FoundOnce): void {
  const scheme = readScheme(labels, path);
  if (!Array.isArray(targets)) throw refusal([...path, "targets"], `got ${show(targets, [])}, want a list`);
  for (const [index, target] of targets.entries()) {
    const place = [...path, "targets", index];
    if (typeof target !== "string") throw refusal(place, `got ${show(target, [])}, want ${TARGET_WANTED}`);
    const url = target.includes("/") ? "" : `${scheme}://${target}`;
    found.add(url, place, () => plainBackend(readUrl(url, place, TARGET_WANTED, target)));
  }
}

function readScheme(labels: unknown, path: Path): string {
  const scheme = isObject(labels) ? labels["__scheme__"] ?? "http" : "http";
  if (scheme === "http" || scheme === "https") return scheme;
  throw refusal([...path, "labels", "__scheme__"], `got ${show(scheme, [])}, want "http" or "https"`);
}

function readUrl(text: string, path: Path, want: string, shown = text): string {
  try {
    return normaliseBackendUrl(text);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw refusal(path, `got ${show(shown, [])}, want ${want}`);
  }
}

function refusal(path: Path, text: string): SourceError {
  const place = formatPath(path);
  return new SourceError(place === "" ? text : `${place}: ${text}`);
}

/** What Prometheus calls a target group. */
interface Group {
  readonly targets?: unknown;
  readonly labels?: unknown;
}

function isGroup(entry: unknown): entry is Group {
  return isObject(entry) && Object.hasOwn(entry, "targets");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
