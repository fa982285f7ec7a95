/** Makes certificates for tests, and servers and clients that use them. */

import { generate } from "selfsigned";
import { X509Certificate } from "node:crypto";
import { connect, type TLSSocket } from "node:tls";
import type { Handler } from "./http_backend.ts";

const DAY_MS = 86_400_000;

/** A certificate and its key in PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface PairOptions {
  /** The authority that signs it; default: self-signed. */
  readonly authority?: Pair;
  /** Days from now until it ends; negative: it has expired. Default 90. */
  readonly days?: number;
  /** The only name that it is for, in place of `localhost` and 127.0.0.1. */
  readonly name?: string;
  /** Further names. */
  readonly names?: readonly string[];
}

/** An authority that can sign others. */
export async function makeAuthority(name = "test authority"): Promise<Pair> {
  const { cert, private: key } = await generate([{ name: "commonName", value: name }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, digitalSignature: true, critical: true },
    ],
  });
  return { cert, key };
}

/** A server's certificate, for `localhost` and 127.0.0.1 unless it has a name. */
export async function makePair({ authority, days = 90, name, names = [] }: PairOptions = {}): Promise<Pair> {
  const first = name === undefined
    ? [{ type: 2 as const, value: "localhost" }, { type: 7 as const, ip: "127.0.0.1" }]
    : [{ type: 2 as const, value: name }];
  const altNames = [...first, ...names.map((value) => ({ type: 2 as const, value }))];
  const { cert, private: key } = await generate([{ name: "commonName", value: "test server" }], {
    keyType: "ec",
    algorithm: "sha256",
    notBeforeDate: new Date(Date.now() - 200 * DAY_MS),
    notAfterDate: new Date(Date.now() + days * DAY_MS),
    extensions: [
      { name: "basicConstraints", cA: false, critical: true },
      { name: "subjectAltName", altNames },
    ],
    ...(authority === undefined ? {} : { ca: authority }),
  });
  return { cert, key };
}

/** A certificate for one name, valid between these times. */
export async function certificateFrom(
  { name, fromMs, untilMs }: { readonly name: string; readonly fromMs: number; readonly untilMs: number },
): Promise<Pair> {
  const { cert, private: key } = await generate([{ name: "commonName", value: "test server" }], {
    keyType: "ec",
    algorithm: "sha256",
    notBeforeDate: new Date(fromMs),
    notAfterDate: new Date(untilMs),
    extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: name }] }],
  });
  return { cert, key };
}

/** A directory that is deleted after the test. */
export class TemporaryDirectory implements Disposable {
  readonly path = Deno.makeTempDirSync();

  /** Writes a file; returns its path. */
  write(name: string, text: string): string {
    const path = `${this.path}/${name}`;
    Deno.writeTextFileSync(path, text);
    return path;
  }

  /** Writes both files of a pair. */
  writePair({ cert, key }: Pair, name = "server"): { cert: string; key: string } {
    return { cert: this.write(`${name}.crt`, cert), key: this.write(`${name}.key`, key) };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** The text of the only self-signed certificate in the state directory. */
export function keptCertificate(state: string): string {
  const folder = `${state}/tls`;
  const names = Array.from(Deno.readDirSync(folder), ({ name }) => name).filter((name) => name.endsWith(".crt"));
  if (names.length !== 1) throw new Error(`${folder} has ${names.length} certificates`);
  return Deno.readTextFileSync(`${folder}/${names[0]}`);
}

/** The state directory while the test runs. */
export class StateDirectory extends TemporaryDirectory {
  readonly #before = Deno.env.get("STATE_DIRECTORY");

  constructor() {
    super();
    Deno.env.set("STATE_DIRECTORY", this.path);
  }

  override [Symbol.dispose](): void {
    if (this.#before === undefined) Deno.env.delete("STATE_DIRECTORY");
    else Deno.env.set("STATE_DIRECTORY", this.#before);
    super[Symbol.dispose]();
  }
}

/** A backend that speaks HTTPS. */
export class HttpsBackend implements AsyncDisposable {
  readonly url: string;
  /** Requests that reached it, health checks included. */
  requests = 0;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #abort = new AbortController();

  constructor(pair: Pair, handler: Handler = () => new Response("ok")) {
    this.#server = Deno.serve({
      ...pair,
      hostname: "127.0.0.1",
      port: 0,
      signal: this.#abort.signal,
      onListen: () => {},
      handler: (request, info) => {
        this.requests++;
        return handler(request, info);
      },
    });
    this.url = `https://127.0.0.1:${this.#server.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#server.finished;
  }
}

/** A client that trusts `authority` and speaks exactly this version. */
export function clientFor(version: "HTTP/1.1" | "HTTP/2", { cert }: Pick<Pair, "cert">): Deno.HttpClient {
  const http2 = version === "HTTP/2";
  return Deno.createHttpClient({ caCerts: [cert], http1: !http2, http2, allowHost: true });
}

/**
 * The serial number of the certificate that a new connection gets, and the negotiated protocol.
 *
 * @param servername the name that the client asks for; default: none
 */
export async function shown(
  port: number,
  ALPNProtocols: string[] = [],
  servername?: string,
): Promise<{ serial: string; alpn: string | false }> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket: TLSSocket = connect({
    host: "127.0.0.1",
    port,
    rejectUnauthorized: false,
    ALPNProtocols,
    ...(servername === undefined ? {} : { servername }),
  });
  socket.setTimeout(10_000, () => reject(new Error("waited in vain for the handshake")));
  socket.once("secureConnect", resolve).once("error", reject);
  await promise;
  const serial = socket.getPeerCertificate().serialNumber;
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.destroy();
  await closed;
  return { serial, alpn: socket.alpnProtocol ?? false };
}

/** The serial number of a certificate, as `shown` tells it. */
export function serialOf({ cert }: Pick<Pair, "cert">): string {
  return new X509Certificate(cert).serialNumber;
}
