/** What an answer says about the name that was asked for. */

import { isHostName } from "../../config/discover/host_name.ts";
import { SourceError } from "../source.ts";
import type { DnsMessage, DnsRecord, DnsRecords, Question } from "./message.ts";
import { deniesName } from "./server.ts";

/** The records that were asked for. */
export interface RecordsFound {
  readonly kind: "records";
  readonly records: readonly DnsRecord[];
  /** Records about other names, which a server has added unasked. */
  readonly additionals: readonly DnsRecord[];
  /** How long they hold. */
  readonly ttlS: number;
}

/** There are no such records. */
export interface NoneFound {
  readonly kind: "none";
  /** Whether the name does not exist at all. */
  readonly noSuchName: boolean;
  /** How long that holds; `undefined`: the answer does not say. */
  readonly ttlS: number | undefined;
}

/** What is known of a name. */
export type Answer = RecordsFound | NoneFound;

/** The name stands for another one, of which the answer says nothing. */
export interface Alias {
  readonly kind: "alias";
  readonly name: string;
  readonly ttlS: number;
}

/** The most aliases between a name and its records. */
export const MOST_ALIASES = 8;

/** @throws {SourceError} when its aliases lead nowhere, or when it has only other records */
export function readAnswer(message: DnsMessage, { name: asked, type }: Question): Answer | Alias {
  const { answers, authorities, additionals } = message.records();
  const { name, ttlS } = followAliases(answers, asked.toLowerCase());
  const records = answers.filter((record) => record.type === type && record.name === name);
  if (records.length > 0) {
    return { kind: "records", records, additionals, ttlS: Math.min(ttlS, ...records.map((record) => record.ttlS)) };
  }
  if (answers.length > 0 && name === asked.toLowerCase()) throw new SourceError("records that nobody has asked for");
  const holdsFor = negativeTtl({ authorities });
  if (name === asked.toLowerCase() || deniesName(message) || holdsFor !== undefined) {
    const both = Math.min(holdsFor ?? Infinity, ttlS);
    return { kind: "none", noSuchName: deniesName(message), ttlS: both === Infinity ? undefined : both };
  }
  if (!isHostName(name)) throw new SourceError("an alias that is no host name");
  return { kind: "alias", name, ttlS };
}

function followAliases(answers: readonly DnsRecord[], asked: string): { readonly name: string; readonly ttlS: number } {
  let name = asked;
  let ttlS = Infinity;
  for (let count = 0; count <= MOST_ALIASES; count++) {
    const alias = answers.find((record) => record.type === "CNAME" && record.name === name);
    if (alias?.type !== "CNAME") return { name, ttlS };
    name = alias.data;
    ttlS = Math.min(ttlS, alias.ttlS);
  }
  throw new SourceError(`more than ${MOST_ALIASES} aliases`);
}

/** RFC 2308 section 5. */
function negativeTtl({ authorities }: Pick<DnsRecords, "authorities">): number | undefined {
  const soa = authorities.find((record) => record.type === "SOA");
  return soa?.type === "SOA" ? Math.min(soa.ttlS, soa.data.minimum) : undefined;
}
