/** Asks for names, and remembers what they had last: a failure is not a removal. */

import { messageOf } from "../../errors.ts";
import type { Clock } from "../../net/clock.ts";
import { usableAddress } from "./addresses.ts";
import type { DnsRecord, Question } from "./message.ts";
import { resolve, type ResolverServers } from "./resolver.ts";

/** What is known of a name. */
interface Known<Item> {
  /** If nobody could say: what it had last. */
  readonly items: readonly Item[];
  /** How long that holds; `undefined`: nobody said. */
  readonly ttlS: number | undefined;
  /** Whether the name does not exist. */
  readonly noSuchName: boolean;
  /** Why `items` may be old or incomplete; `null`: they are neither. */
  readonly problem: string | null;
}

/** Records of one type, and what the server has added to them. */
export interface KnownRecords extends Known<DnsRecord> {
  readonly additionals: readonly DnsRecord[];
}

/** The addresses of a name, of both families. */
export type KnownAddresses = Known<string>;

const FAMILIES = ["A", "AAAA"] as const;

/**
 * How long to wait for one family of addresses when the other is there. Some servers never answer a question for AAAA.
 * A family that had addresses is waited for all the same.
 */
const PATIENCE_MS = 1000;

export class KnownNames {
  readonly #clock: Clock;
  /** By type and name. */
  readonly #last = new Map<string, readonly DnsRecord[]>();
  readonly #asked = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The records of a name. Never rejects. */
  async records(question: Question, servers: ResolverServers, stop: AbortSignal): Promise<KnownRecords> {
    const key = keyOf(question);
    this.#asked.add(key);
    try {
      const answer = await resolve(question, servers, stop);
      if (answer.kind === "none") {
        this.#last.set(key, []);
        return { ...answer, items: [], additionals: [], problem: null };
      }
      const { records, additionals, ttlS } = answer;
      const items = records.map((record) => usable(record, key));
      this.#last.set(key, items);
      return { items, additionals, ttlS, noSuchName: false, problem: null };
    } catch (error) {
      const items = this.#last.get(key) ?? [];
      return { items, additionals: [], ttlS: undefined, noSuchName: false, problem: messageOf(error) };
    }
  }

  /** The addresses of a name. Both families are asked for at the same time. Never rejects. */
  async addresses(name: string, servers: ResolverServers, stop: AbortSignal): Promise<KnownAddresses> {
    const enough = new AbortController();
    const signal = AbortSignal.any([stop, enough.signal]);
    let cancel = () => {};
    const found = await Promise.all(FAMILIES.map(async (type) => {
      const known = await this.records({ name, type }, servers, signal);
      const other = type === "A" ? "AAAA" : "A";
      if (known.items.length > 0 && known.problem === null && !this.#had({ name, type: other })) {
        cancel();
        cancel = this.#clock.after(PATIENCE_MS, () => enough.abort());
      }
      return known;
    }));
    cancel();
    return bothFamilies(found);
  }

  /**
   * Takes up the addresses that a server has told of a name without being asked.
   *
   * @throws {SourceError} when no backend can have one of them
   */
  learn(name: string, addresses: readonly DnsRecord[]): KnownAddresses {
    const items = addresses.map((record) => usable(record, name));
    for (const type of FAMILIES) {
      const key = keyOf({ name, type });
      this.#asked.add(key);
      this.#last.set(key, items.filter((record) => record.type === type));
    }
    const ttlS = shortest(items.map(({ ttlS }) => ttlS));
    return bothFamilies([{ items, additionals: [], ttlS, noSuchName: false, problem: null }]);
  }

  /** Forgets names that nobody has asked for since the last call. */
  forgetOthers(): void {
    for (const key of this.#last.keys()) if (!this.#asked.has(key)) this.#last.delete(key);
    this.#asked.clear();
  }

  #had(question: Question): boolean {
    return (this.#last.get(keyOf(question))?.length ?? 0) > 0;
  }
}

/**
 * A failure of one family matters only if it had addresses, or if the other one has none. Many servers fail for AAAA
 * alone, and always.
 */
function bothFamilies(found: readonly KnownRecords[]): KnownAddresses {
  const failed = found.filter(({ problem }) => problem !== null);
  const items = [...new Set(found.flatMap(({ items }) => items.map(({ data }) => String(data))))].sort();
  const matters = items.length === 0 || failed.some(({ items }) => items.length > 0);
  return {
    items,
    ttlS: shortest(found.map(({ ttlS }) => ttlS)),
    noSuchName: found.every(({ noSuchName }) => noSuchName),
    problem: failed.length > 0 && matters ? failed.map(({ problem }) => problem).join("; ") : null,
  };
}

/** An address in its one spelling; other records as they are. */
function usable(record: DnsRecord, asked: string): DnsRecord {
  if (record.type !== "A" && record.type !== "AAAA") return record;
  return { ...record, data: usableAddress(record.data, asked) };
}

/** The shortest of the times that are known. */
export function shortest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function keyOf({ type, name }: Question): string {
  return `${type} ${name}`;
}
