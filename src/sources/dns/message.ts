/** Messages of DNS: one question is written, and one answer read. `dns-packet` knows how records look. */

import { Buffer } from "node:buffer";
import packet from "dns-packet";
import { SourceError } from "../source.ts";

/** What is asked. */
export interface Question {
  readonly name: string;
  readonly type: "A" | "AAAA" | "SRV";
}

/** What an SRV record says of a server. */
export interface ServiceRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

/** A record of one of the types that matter here. Names are in lower case. */
export type DnsRecord =
  & { readonly name: string; readonly ttlS: number }
  & (
    | { readonly type: "A" | "AAAA" | "CNAME"; readonly data: string }
    | { readonly type: "SRV"; readonly data: ServiceRecord }
    | { readonly type: "SOA"; readonly data: { readonly minimum: number } }
  );

/** A message. Its records are read when they are first needed. */
export interface DnsMessage {
  readonly id: number;
  readonly isAnswer: boolean;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  /** Whether the server asks others on behalf of its clients. */
  readonly recursive: boolean;
  readonly code: number;
  /** `undefined`: none, or more than one. */
  readonly question: { readonly name: string; readonly type: string } | undefined;
  /** @throws {SourceError} when they are malformed */
  records(): DnsRecords;
}

/** The records of a message by section. */
export interface DnsRecords {
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

/** The longest answer by UDP that is asked for. It fits into one packet on nearly every path (DNS flag day 2020). */
export const UDP_BYTES = 1232;

const HEADER_BYTES = 12;
const FLAGS = { answer: 0x8000, authoritative: 0x400, truncated: 0x200, recursive: 0x80, opcode: 0x7800, code: 0xf };

/** After a record's name: type, class, time to live and length. */
const FIXED_BYTES = 10;
const INTERNET = 1;

/** The types of records that are read, with where in their data a name begins. Others are skipped by their length. */
const NAME_AT: ReadonlyMap<number, number | undefined> = new Map([
  [1, undefined], // A
  [28, undefined], // AAAA
  [5, 0], // CNAME
  [6, 0], // SOA
  [33, 6], // SRV
]);

/** More steps than any name has labels: only a chain of pointers to pointers is longer. */
const MOST_STEPS = 256;

/** @param extended whether the answer may be longer than 512 bytes (EDNS). Very old servers refuse such a question */
export function writeQuestion({ name, type }: Question, id: number, extended: boolean): Uint8Array {
  return packet.encode({
    type: "query",
    id,
    flags: packet.RECURSION_DESIRED,
    questions: [{ name, type }],
    additionals: extended ? [{ type: "OPT", name: ".", udpPayloadSize: UDP_BYTES, flags: 0, options: [] }] : [],
  });
}

/** @throws {SourceError} when its head is malformed */
export function readMessage(bytes: Uint8Array): DnsMessage {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < HEADER_BYTES) throw malformed("it is too short");
  const flags = buffer.readUInt16BE(2);
  if ((flags & FLAGS.opcode) !== 0) throw malformed("it answers no question");
  const { questions, end } = readQuestions(buffer);
  let records: DnsRecords | undefined;
  return {
    id: buffer.readUInt16BE(0),
    isAnswer: (flags & FLAGS.answer) !== 0,
    authoritative: (flags & FLAGS.authoritative) !== 0,
    truncated: (flags & FLAGS.truncated) !== 0,
    recursive: (flags & FLAGS.recursive) !== 0,
    code: flags & FLAGS.code,
    question: questions.length === 1 ? questions[0] : undefined,
    records: () => records ??= readRecords(buffer, end),
  };
}

function readQuestions(buffer: Buffer) {
  const questions: { readonly name: string; readonly type: string }[] = [];
  let end = HEADER_BYTES;
  for (let left = buffer.readUInt16BE(4); left > 0; left--) {
    const nameEnd = endOfName(buffer, end);
    if (nameEnd + 4 > buffer.length) throw malformed("it ends within a question");
    const { name, type } = attempt(() => packet.question.decode(buffer, end));
    // A question of another class is none of ours.
    if (buffer.readUInt16BE(nameEnd + 2) === INTERNET) questions.push({ name: name.toLowerCase(), type });
    end = nameEnd + 4;
  }
  return { questions, end };
}

function readRecords(buffer: Buffer, start: number): DnsRecords {
  let at = start;
  const section = (count: number): DnsRecord[] => {
    const records: DnsRecord[] = [];
    for (; count > 0; count--) {
      const { record, end } = readRecord(buffer, at);
      if (record !== undefined) records.push(record);
      at = end;
    }
    return records;
  };
  return {
    answers: section(buffer.readUInt16BE(6)),
    authorities: section(buffer.readUInt16BE(8)),
    additionals: section(buffer.readUInt16BE(10)),
  };
}

function readRecord(buffer: Buffer, at: number): { readonly record?: DnsRecord; readonly end: number } {
  const fixed = endOfName(buffer, at);
  const data = fixed + FIXED_BYTES;
  if (data > buffer.length) throw malformed("it ends within a record");
  const end = data + buffer.readUInt16BE(fixed + 8);
  if (end > buffer.length) throw malformed("it ends within a record");
  const type = buffer.readUInt16BE(fixed);
  if (!NAME_AT.has(type) || buffer.readUInt16BE(fixed + 2) !== INTERNET) return { end };
  const nameAt = NAME_AT.get(type);
  if (nameAt !== undefined && data + nameAt < end) {
    const nameEnd = endOfName(buffer, data + nameAt);
    if (type === 6) endOfName(buffer, nameEnd); // an SOA has two
  }
  return { record: decoded(buffer, at, end), end };
}

function decoded(buffer: Buffer, at: number, end: number): DnsRecord {
  const record = attempt(() => packet.answer.decode(buffer.subarray(0, end), at));
  if (packet.answer.decode.bytes !== end - at) throw malformed("a record has a wrong length");
  const { name, type, data } = record;
  // RFC 2181 section 8: a time to live of more than 31 bits is zero.
  const ttlS = record.ttl > 0x7fffffff ? 0 : record.ttl;
  // `dns-packet` gives each type its own form of data.
  return { name: name.toLowerCase(), type, ttlS, data: inLowerCase(data) } as DnsRecord;
}

function attempt<Result>(decode: () => Result): Result {
  try {
    return decode();
  } catch {
    throw malformed("it can't be read");
  }
}

/** The name in a record's data, in lower case. */
function inLowerCase(data: unknown): unknown {
  if (typeof data === "string") return data.toLowerCase();
  const { target, ...rest } = data as Partial<ServiceRecord>;
  return target === undefined ? rest : { ...rest, target: target.toLowerCase() };
}

/**
 * Where a name ends that begins at `start`. Its pointers are followed, too, because `dns-packet` would follow thousands
 * of them, for each of thousands of records.
 */
function endOfName(buffer: Buffer, start: number): number {
  let end: number | undefined;
  let at = start;
  for (let step = 0; step < MOST_STEPS; step++) {
    const length = buffer[at];
    if (length === undefined) throw malformed("it ends within a name");
    if (length === 0) return end ?? at + 1;
    if (length < 0x40) at += 1 + length;
    else if (length < 0xc0 || at + 1 >= buffer.length) throw malformed("a name can't be read");
    else {
      end ??= at + 2;
      at = buffer.readUInt16BE(at) - 0xc000;
    }
  }
  throw malformed("a name leads in a circle");
}

function malformed(why: string): SourceError {
  return new SourceError(`a malformed answer: ${why}`);
}
