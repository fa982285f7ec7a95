/** One question to one DNS server: by UDP, and by TCP when the answer does not fit. */

import ipaddr from "ipaddr.js";
import { messageOf } from "../../errors.ts";
import { closeQuietly } from "../../net/close_quietly.ts";
import { withinLimit } from "../../net/fair_limit.ts";
import { SourceError } from "../source.ts";
import { type DnsMessage, type Question, readMessage, UDP_BYTES, writeQuestion } from "./message.ts";

/** Where a DNS server is. `hostname` is an address. */
export interface DnsServer {
  readonly hostname: string;
  readonly port: number;
}

/** How a question is asked. */
export interface Asking {
  readonly server: DnsServer;
  /** For UDP, and again for TCP. */
  readonly timeoutMs: number;
  readonly stop: AbortSignal;
}

/** A question as it is sent. */
interface Query {
  readonly question: Question;
  readonly id: number;
  readonly bytes: Uint8Array;
}

const [NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NO_SUCH_NAME, NOT_IMPLEMENTED, REFUSED] = [0, 1, 2, 3, 4, 5];

const CODE_NAMES: ReadonlyMap<number, string> = new Map([
  [FORMAT_ERROR, "FORMERR"],
  [SERVER_FAILURE, "SERVFAIL"],
  [NO_SUCH_NAME, "NXDOMAIN"],
  [NOT_IMPLEMENTED, "NOTIMP"],
  [REFUSED, "REFUSED"],
]);

/** Datagrams that are not the answer. More of them are an attack, and the question is given up. */
const MOST_STRAYS = 100;

/** Whether a server says that the name does not exist. */
export function deniesName({ code }: DnsMessage): boolean {
  return code === NO_SUCH_NAME;
}

/**
 * The answer of one server, with code NOERROR or NXDOMAIN and complete.
 *
 * @throws {SourceError} when there is none that counts, with the reason in a few words
 */
export async function askServer(question: Question, asking: Asking): Promise<DnsMessage> {
  let answer = await askByUdp(queryFor(question, true), asking);
  // A server that does not know EDNS refuses the question as a whole.
  if (answer.code === FORMAT_ERROR || answer.code === NOT_IMPLEMENTED) {
    answer = await askByUdp(queryFor(question, false), asking);
  }
  if (answer.truncated) answer = await askByTcp(queryFor(question, false), asking);
  const { code, truncated, authoritative, recursive } = answer;
  if (code !== NO_ERROR && code !== NO_SUCH_NAME) throw new SourceError(CODE_NAMES.get(code) ?? `code ${code}`);
  if (truncated) throw new SourceError("a truncated answer by TCP");
  if (!authoritative && !recursive && answer.records().answers.length === 0) {
    throw new SourceError("a referral to other servers");
  }
  return answer;
}

function queryFor(question: Question, extended: boolean): Query {
  const [id = 0] = crypto.getRandomValues(new Uint16Array(1));
  return { question, id, bytes: writeQuestion(question, id, extended) };
}

function isAnswerTo({ id, isAnswer, question: asked, code }: DnsMessage, query: Query): boolean {
  if (!isAnswer || id !== query.id) return false;
  // Servers that can't read a question don't repeat it.
  if (asked === undefined) return code !== NO_ERROR && code !== NO_SUCH_NAME;
  return asked.name === query.question.name.toLowerCase() && asked.type === query.question.type;
}

/** A new socket for each question has a new port, which an attacker must guess. */
function askByUdp(query: Query, { server, timeoutMs, stop }: Asking): Promise<DnsMessage> {
  const port = { transport: "udp", port: 0, hostname: server.hostname.includes(":") ? "::" : "0.0.0.0" } as const;
  const open = () => Deno.listenDatagram(port);
  let wrong: string | undefined;
  return exchange(open, { timeoutMs, stop, why: () => wrong }, async (socket) => {
    await socket.send(query.bytes, { transport: "udp", ...server });
    const buffer = new Uint8Array(4 * UDP_BYTES);
    for (let stray = 0; stray < MOST_STRAYS; stray++) {
      const [bytes, from] = await socket.receive(buffer);
      if (!isFrom(from, server)) continue;
      const answer = understood(bytes);
      if (answer instanceof SourceError) wrong = answer.message;
      else if (isAnswerTo(answer, query)) return answer;
      else wrong = "an answer to another question";
    }
    throw new SourceError(wrong ?? "answers from other servers");
  });
}

/** Only complaints of a malformed answer are kept, in case no other one comes. */
function understood(bytes: Uint8Array): DnsMessage | SourceError {
  try {
    const answer = readMessage(bytes);
    if (!answer.truncated) answer.records();
    return answer;
  } catch (error) {
    if (error instanceof SourceError) return error;
    throw error;
  }
}

function askByTcp(query: Query, { server, timeoutMs, stop }: Asking): Promise<DnsMessage> {
  return exchange((signal) => Deno.connect({ ...server, signal }), { timeoutMs, stop }, async (connection) => {
    const { bytes } = query;
    const framed = new Uint8Array(2 + bytes.length);
    new DataView(framed.buffer).setUint16(0, bytes.length);
    framed.set(bytes, 2);
    for (let sent = 0; sent < framed.length;) sent += await connection.write(framed.subarray(sent));
    const length = await readWhole(connection, 2);
    const answer = readMessage(await readWhole(connection, new DataView(length.buffer).getUint16(0)));
    if (!isAnswerTo(answer, query)) throw new SourceError("an answer to another question by TCP");
    if (!answer.truncated) answer.records();
    return answer;
  });
}

async function readWhole(connection: Deno.TcpConn, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const count = await connection.read(bytes.subarray(filled));
    if (count === null) throw new SourceError("the connection ended within the answer");
    filled += count;
  }
  return bytes;
}

interface ExchangeOptions {
  readonly timeoutMs: number;
  readonly stop: AbortSignal;
  /** What was wrong with what came before the time was over. */
  readonly why?: () => string | undefined;
}

/**
 * Opens something, works with it and closes it, within the limit and until `stop` fires.
 *
 * @throws {SourceError}
 */
async function exchange<Socket extends { close(): void }, Result>(
  open: (signal: AbortSignal) => Socket | Promise<Socket>,
  { timeoutMs, stop, why = () => undefined }: ExchangeOptions,
  work: (socket: Socket) => Promise<Result>,
): Promise<Result> {
  let isOver = false;
  try {
    return await withinLimit(timeoutMs, async (limit) => {
      const signal = AbortSignal.any([stop, limit]);
      const socket = await open(signal);
      const end = () => {
        isOver = true;
        closeQuietly(socket);
      };
      if (signal.aborted) end();
      else signal.addEventListener("abort", end);
      try {
        return await work(socket);
      } finally {
        signal.removeEventListener("abort", end);
        closeQuietly(socket);
      }
    });
  } catch (error) {
    if (stop.aborted) throw new SourceError("given up");
    if (error instanceof SourceError) throw error;
    const timedOut = isOver || error instanceof DOMException && error.name === "TimeoutError";
    throw new SourceError(timedOut ? why() ?? `no answer within ${timeoutMs} ms` : plain(messageOf(error)));
  }
}

/** "Connection refused (os error 111)" becomes "connection refused". */
function plain(message: string): string {
  return message.replace(/ \(os error \d+\)/, "").replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
}

function isFrom(from: Deno.Addr, { hostname, port }: DnsServer): boolean {
  return from.transport === "udp" && from.port === port && spelled(from.hostname) === spelled(hostname);
}

/** The one spelling of an address. The zone of a local one (`%eth0`) is not part of what answers come from. */
function spelled(hostname: string): string {
  return ipaddr.process(hostname.replace(/%.*$/, "")).toString();
}
