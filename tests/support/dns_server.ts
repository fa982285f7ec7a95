/** A DNS server that answers as a test says, by UDP and TCP at the same port: truthfully, late, with lies, or not at all. */

import { Buffer } from "node:buffer";
import packet from "dns-packet";
import { closeQuietly } from "../../src/net/close_quietly.ts";

/** A record in the words of `dns-packet`. */
export type TestRecord =
  & { readonly name: string; readonly ttl?: number }
  & (
    | { readonly type: "A" | "AAAA" | "CNAME" | "NS" | "TXT"; readonly data: string }
    | {
      readonly type: "SRV";
      readonly data: {
        readonly priority: number;
        readonly weight: number;
        readonly port: number;
        readonly target: string;
      };
    }
    | {
      readonly type: "SOA";
      readonly data: { readonly mname: string; readonly rname: string; readonly minimum: number };
    }
  );

/** A question as it arrived. */
export interface Asked {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly by: "udp" | "tcp";
  /** Whether it has the extension for longer answers (EDNS). */
  readonly extended: boolean;
  /** The port it came from. */
  readonly port: number;
}

/** What an answer says; the rest follows from the question. */
export interface Reply {
  readonly id?: number;
  readonly name?: string;
  readonly type?: string;
  readonly code?: number;
  readonly truncated?: boolean;
  readonly recursive?: boolean;
  readonly authoritative?: boolean;
  readonly answers?: readonly TestRecord[];
  readonly authorities?: readonly TestRecord[];
  readonly additionals?: readonly TestRecord[];
}

/** Whole messages, sent one after the other. None: no answer. Over TCP they are written with their lengths. */
type Answering = (asked: Asked) => readonly Uint8Array[] | Promise<readonly Uint8Array[]>;

/** What a TCP client gets, length included, in place of messages. Then the connection is closed, or stays open. */
type RawTcp = (asked: Asked) => { readonly bytes: Uint8Array; readonly stay?: boolean };

const NAME_ERROR = 3;

/** An answer in its form on the wire. */
export function reply(asked: Asked, said: Reply = {}): Uint8Array {
  const { recursive = true, authoritative = false, truncated = false, code = 0 } = said;
  return packet.encode({
    type: "response",
    id: said.id ?? asked.id,
    flags: (authoritative ? 0x400 : 0) | (truncated ? 0x200 : 0) | (recursive ? 0x80 : 0) | code,
    questions: [{ name: said.name ?? asked.name, type: said.type ?? asked.type }],
    answers: (said.answers ?? []).map(withTtl),
    authorities: (said.authorities ?? []).map(withTtl),
    additionals: (said.additionals ?? []).map(withTtl),
  });
}

function withTtl(record: TestRecord): TestRecord {
  return { ttl: 30, ...record };
}

/** Answers from a list of records, which may change. Names without records do not exist. */
export function zone(records: readonly TestRecord[]): Answering {
  return (asked) => {
    const same = records.filter(({ name }) => name === asked.name.toLowerCase());
    const answers = same.filter(({ type }) => type === asked.type || type === "CNAME");
    return [reply(asked, same.length === 0 ? { code: NAME_ERROR } : { answers })];
  };
}

export class DnsServer implements AsyncDisposable {
  readonly port: number;
  readonly questions: Asked[] = [];
  answer: Answering;
  /** What TCP clients get. Default: as by UDP. */
  tcp: RawTcp | undefined;
  readonly #udp: Deno.DatagramConn;
  readonly #tcp: Deno.TcpListener;
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #work = new Set<Promise<void>>();

  constructor(answer: Answering = zone([])) {
    this.answer = answer;
    [this.#udp, this.#tcp] = bindBoth();
    this.port = (this.#tcp.addr as Deno.NetAddr).port;
    this.#start(this.#serveUdp());
    this.#start(this.#serveTcp());
  }

  /** As the setting `server` names it. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** How often this was asked. */
  asked(type: string, by?: Asked["by"]): number {
    return this.questions.filter((asked) => asked.type === type && (by ?? asked.by) === asked.by).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeQuietly(this.#udp);
    closeQuietly(this.#tcp);
    for (const connection of this.#connections) closeQuietly(connection);
    await Promise.all(this.#work);
  }

  #start(work: Promise<void>): void {
    const ending = work.catch((error) => {
      const closed = [Deno.errors.BadResource, Deno.errors.Interrupted, Deno.errors.BrokenPipe];
      if (!closed.some((kind) => error instanceof kind)) throw error;
    }).finally(() => this.#work.delete(ending));
    this.#work.add(ending);
  }

  async #serveUdp(): Promise<void> {
    while (true) {
      const [bytes, from] = await this.#udp.receive(new Uint8Array(4096));
      this.#start(this.#answerUdp(bytes, from as Deno.NetAddr));
    }
  }

  async #answerUdp(bytes: Uint8Array, from: Deno.NetAddr): Promise<void> {
    for (const message of await this.answer(this.#note(bytes, "udp", from.port))) await this.#udp.send(message, from);
  }

  async #serveTcp(): Promise<void> {
    for await (const connection of this.#tcp) {
      this.#connections.add(connection);
      this.#start(this.#answerTcp(connection));
    }
  }

  async #answerTcp(connection: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(4096);
    const count = await connection.read(buffer) ?? 0;
    if (count === 0) return closeQuietly(connection);
    const asked = this.#note(buffer.subarray(2, count), "tcp", connection.remoteAddr.port);
    const { bytes, stay = false } = this.tcp?.(asked) ?? { bytes: framed(await this.answer(asked)) };
    for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
    if (!stay) closeQuietly(connection);
  }

  #note(bytes: Uint8Array, by: Asked["by"], port: number): Asked {
    const buffer = Buffer.from(bytes);
    const { name, type } = packet.question.decode(buffer, 12);
    const asked = { id: buffer.readUInt16BE(0), name, type, by, port, extended: buffer.readUInt16BE(10) > 0 };
    this.questions.push(asked);
    return asked;
  }
}

/** Messages with their lengths, as they go over TCP. */
export function framed(messages: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    messages.flatMap((message) => [Buffer.from([message.length >> 8, message.length & 255]), message]),
  );
}

/** One port for both. The two kinds have numbers of their own, so the same one may be taken. */
export function bindBoth(): [Deno.DatagramConn, Deno.TcpListener] {
  for (let attempt = 0; attempt < 100; attempt++) {
    const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    try {
      return [
        Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: (tcp.addr as Deno.NetAddr).port }),
        tcp,
      ];
    } catch (error) {
      tcp.close();
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("no port is free for both UDP and TCP");
}
