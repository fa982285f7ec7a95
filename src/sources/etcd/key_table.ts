/** The keys below a prefix, kept up to date by a list and by the changes after it, and the backends in them. */

import { MAX_BACKENDS } from "../../config/backend_limit.ts";
import type { BackendSpec } from "../../config/schema.ts";
import { readBackend } from "../backend_list.ts";
import { type FoundBackend, SourceError } from "../source.ts";
import { parseJson } from "../text_buffer.ts";

/** Far more than a backend in the file's words needs. etcd itself takes 1.5 MB. */
const MAX_VALUE_CHARS = 16 * 1024;
const MAX_KEY_CHARS = 8 * 1024;

/** A key as it is now. Key and value are base64; a `null` value: it was removed. */
export interface KeyChange {
  readonly key: string;
  /** Of the store, at its last change. */
  readonly revision: number;
  readonly value: string | null;
}

/** All keys at a revision of the store. */
export interface KeyList {
  readonly revision: number;
  readonly count: number;
  readonly keys: readonly (KeyChange & { readonly value: string })[];
}

/** What tells two lists apart: no two of one store have the same number of keys and the same last change. */
export interface KeySummary {
  readonly revision: number;
  readonly count: number;
  readonly lastChange: number;
}

interface Entry {
  readonly revision: number;
  readonly value: string;
  readonly backend: BackendSpec | SourceError;
}

export class KeyTable {
  readonly #prefix: Uint8Array;
  #entries = new Map<string, Entry>();
  #revision = 0;

  constructor(prefix: string) {
    this.#prefix = new TextEncoder().encode(prefix);
  }

  /** The table is as the store was at this revision. */
  get revision(): number {
    return this.#revision;
  }

  /** @throws {SourceError} when there are too many keys, or keys that were not asked for */
  replace({ revision, count, keys }: KeyList): void {
    if (count > MAX_BACKENDS) throw tooMany(count);
    if (keys.length !== count) throw new SourceError(`got ${keys.length} of ${count} keys, want all`);
    const entries = new Map<string, Entry>();
    for (const { key, ...held } of keys) entries.set(this.#checked(key), this.#entryOf(key, held));
    this.#entries = entries;
    this.#revision = revision;
  }

  /**
   * Takes over what has changed, one revision after the other. What the table has already changes nothing.
   *
   * @throws {SourceError} when there are too many keys, or keys that were not asked for
   */
  apply(changes: readonly KeyChange[]): void {
    for (const { key, revision, value } of changes) {
      if (revision <= this.#revision) continue;
      if (value === null) this.#entries.delete(key);
      else this.#entries.set(this.#checked(key), this.#entryOf(key, { revision, value }));
    }
    if (this.#entries.size > MAX_BACKENDS) throw tooMany(this.#entries.size);
    this.#revision = changes.reduce((last, { revision }) => Math.max(last, revision), this.#revision);
  }

  /** Whether it holds what the store holds. */
  agreesWith({ count, lastChange }: KeySummary): boolean {
    let last = 0;
    for (const { revision } of this.#entries.values()) last = Math.max(last, revision);
    return count === this.#entries.size && lastChange === last;
  }

  /**
   * The backends, each once. An instance may stand there twice after a restart, until the old lease ends.
   *
   * @throws {SourceError} that names the first key whose value is no backend, or differs for the same backend
   */
  backends(): FoundBackend[] {
    const found = new Map<string, { readonly key: string; readonly spec: BackendSpec }>();
    for (const [key, { backend }] of this.#entries) {
      if (backend instanceof SourceError) throw backend;
      const other = found.get(backend.url);
      if (other === undefined) found.set(backend.url, { key, spec: backend });
      else if (JSON.stringify(other.spec) !== JSON.stringify(backend)) {
        throw new SourceError(
          `${shownKey(key)}: same backend as ${shownKey(other.key)} (${backend.url}), want the same settings`,
        );
      }
    }
    return Array.from(found.values(), ({ spec }) => ({ spec }));
  }

  #checked(key: string): string {
    const bytes = fromBase64(key);
    const isBelow = bytes !== undefined && this.#prefix.every((byte, index) => bytes[index] === byte);
    if (!isBelow) throw new SourceError(`got the ${shownKey(key)}, want keys below the prefix`);
    if (key.length > MAX_KEY_CHARS) throw new SourceError(`got a key of ${bytes.length} bytes, want a shorter one`);
    return key;
  }

  #entryOf(key: string, { revision, value }: { readonly revision: number; readonly value: string }): Entry {
    const known = this.#entries.get(key);
    if (known?.value === value) return { ...known, revision };
    if (value.length <= MAX_VALUE_CHARS) return { revision, value, backend: readValue(key, value) };
    // Not held: it may be large.
    return { revision, value: "", backend: new SourceError(`${shownKey(key)}: the value is too long for a backend`) };
  }
}

function tooMany(count: number): SourceError {
  return new SourceError(`got ${count} keys, want at most ${MAX_BACKENDS}`);
}

/** The backend that a value is: a URL, or JSON. */
function readValue(key: string, value: string): BackendSpec | SourceError {
  try {
    const bytes = fromBase64(value);
    const text = bytes === undefined ? undefined : toText(bytes)?.trim();
    if (text === undefined) throw new SourceError("want a value that is text");
    return readBackend(/^[{["]/.test(text) ? parseJson(text) : text);
  } catch (error) {
    if (error instanceof SourceError) return new SourceError(`${shownKey(key)}: ${error.message}`);
    throw error;
  }
}

function shownKey(key: string): string {
  const bytes = fromBase64(key) ?? new Uint8Array();
  const text = new TextDecoder().decode(bytes.subarray(0, 120));
  return `key ${JSON.stringify(bytes.length > 120 ? `${text}…` : text)}`;
}

function toText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    return undefined;
  }
}
