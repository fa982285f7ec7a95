/** One client request of the `wire` engine: read off a socket, written to another, and the answer back. */

import { Buffer } from "node:buffer";
import { ProxyError } from "../../errors.ts";
import { MalformedMessage } from "../../http1/malformed.ts";
import type { Http1Response } from "../../http1/response_head.ts";
import { encodeHead } from "../../http1/writer.ts";
import type { Backend } from "../../pool/backend.ts";
import type { Exchange, Relayed } from "../../proxy/exchange.ts";
import { checkBelowBase } from "../../proxy/base_path.ts";
import { forwardInformational } from "../../proxy/headers.ts";
import type { HeaderPair, ResponseHead } from "../../proxy/message.ts";
import type { Problem } from "../../proxy/problem.ts";
import { isSafe } from "../../proxy/retry.ts";
import type { BackendConnection } from "./backend/backend_connection.ts";
import type { WireContext } from "./context.ts";
import type { ExchangeClient } from "./exchange_client.ts";
import { Download, type DownloadEnd } from "./download.ts";
import { type Cancelled, explain, type GivenUp, NoAnswer, ResponseBroken } from "./failures.ts";
import { CLOSE_LINE, KEEP_ALIVE_LINE, requestHead, responseHead } from "./heads.ts";
import { protocolsOf, type WireRequest } from "./request.ts";
import { Timed } from "./timeouts.ts";
import { toldLength, transferOf } from "./transfer.ts";
import { Tunnel } from "./tunnel.ts";
import { Upload, type UploadFault, type UploadListener } from "./upload.ts";

/** A backend's answer, and the connection that its body comes over. */
export interface WireResponse extends ResponseHead {
  readonly head: Http1Response;
  readonly connection: BackendConnection;
}

/** Its clock runs while a connection is made, and while a backend or, in an answer's body, the client is to go on. */
export class WireExchange extends Timed implements Exchange<WireResponse>, UploadListener {
  readonly request: WireRequest;
  /** Whether the client's connection can carry another request once this is over. */
  keepsClient = false;
  readonly #client: ExchangeClient;
  readonly #context: WireContext;
  readonly #cameTooLate: boolean;
  #turn: number | undefined;
  readonly #upload: Upload | undefined;
  #uploading: boolean;
  readonly #requestClock: RequestClock | undefined;
  #dialing: AbortController | undefined;
  #connection: BackendConnection | undefined;
  #download: Download | undefined;
  #cancelled: Cancelled | undefined;
  #givenUp: GivenUp | undefined;
  #tunnelled = false;
  informed = false;
  /** Whether a 1xx has come in this attempt: the backend has begun to answer. */
  #hinted = false;
  #tunnelBytesIn = 0;
  #faultDetail = "";

  constructor(request: WireRequest, client: ExchangeClient, context: WireContext) {
    super();
    this.request = request;
    this.#client = client;
    this.#context = context;
    this.#cameTooLate = context.stopping;
    this.#uploading = request.bodyBytes !== 0;
    if (this.#uploading) {
      this.#upload = new Upload(request.framing, client.inlet, context, { listener: this, clientClock: client });
      context.uploads++;
    } else client.inlet.read(); // whoever leaves is to be noticed
    if (context.limitsRequests) context.requestTimeouts.start(this.#requestClock = new RequestClock(this));
  }

  get refusal(): ProxyError | undefined {
    return this.#cameTooLate ? stopping() : undefined;
  }

  get brokenOff(): ProxyError | undefined {
    return this.#cancelled === undefined ? undefined : this.#explain(undefined);
  }

  /** Whether what comes from the client is read elsewhere: by an upload, which may be sending what came, or a tunnel. */
  get ownsInlet(): boolean {
    return this.#uploading || this.#tunnelled;
  }

  get bytesIn(): number {
    return (this.#upload?.bytesIn ?? 0) + this.#tunnelBytesIn;
  }

  get bodyReplayable(): boolean {
    return this.#upload === undefined || this.#upload.untouched;
  }

  waitForTurn(): Promise<void> | undefined {
    const { turns } = this.#context;
    if (!turns.free) return turns.wait().then((turn) => void (this.#turn = turn));
    this.#turn = turns.begin();
    return undefined;
  }

  attempt(backend: Backend, headers: HeaderPair[]): Promise<WireResponse> {
    this.#givenUp = undefined;
    this.#hinted = false;
    if (this.brokenOff !== undefined) return Promise.reject(this.brokenOff);
    const connection = this.#context.backends.takeIdle(backend, this.#safe);
    return connection === undefined
      ? this.#attemptAnew(backend, headers)
      : this.#converse(connection, headers, { reused: true });
  }

  relay(response: WireResponse, headers: HeaderPair[]): Promise<Relayed> {
    const { head, connection } = response;
    if (head.status === 101) return this.#tunnel(response, headers);
    this.keepsClient = this.#canKeepClient(head);
    const { minorVersion, method } = this.request;
    const transfer = transferOf(head, minorVersion);
    const download = new Download(connection, this.#client, { framing: head.framing, transfer }, this.#context, this);
    this.#download = download;
    const text = responseHead(head, headers, toldLength(head, method, transfer), this.#clientLines(), head);
    return this.#finish(download, head, download.run(text));
  }

  discard({ head, connection }: WireResponse): void {
    this.#connection = undefined;
    const complete = head.keepAlive && head.framing.kind === "length" && connection.inlet.unread === head.framing.bytes;
    if (!complete || this.#uploading) return connection.close();
    connection.inlet.start = connection.inlet.end;
    this.#context.backends.giveBack(connection);
  }

  async answer(problem: Problem): Promise<void> {
    if (this.#cancelled === "client_gone") return;
    const { method, keepAlive } = this.request;
    const bodyIsIn = this.#upload === undefined || this.#upload.skipReady();
    const wantsClose = problem.headers.some(([name]) => name === "connection") || this.#context.stopping;
    this.keepsClient = keepAlive && bodyIsIn && !wantsClose && this.#cancelled === undefined;
    await this.#client.answer(problem, { withoutBody: method === "HEAD", lines: this.#clientLines() });
  }

  /** The exchange is over, whatever came of it. */
  end(): void {
    if (this.#turn !== undefined) this.#context.turns.end(this.#turn);
    this.stopClock();
    this.#requestClock?.stopClock();
    this.#endUpload();
  }

  /** The client has closed its connection, or it broke. */
  clientLeft(): void {
    if (!this.#tunnelled) this.cancel("client_gone"); // in a tunnel one side may end before the other
  }

  /** Breaks the exchange off, wherever it is: what waits for the backend hears of it. The first reason counts. */
  cancel(why: Cancelled): void {
    this.#cancelled ??= why;
    this.#breakOff();
  }

  uploadEnded(): void {
    this.#endUpload();
    if (this.#download === undefined) this.#context.responseTimeouts.start(this);
    this.#client.inlet.read();
  }

  uploadFailed(fault: UploadFault, detail: string): void {
    this.#faultDetail = detail;
    this.cancel(fault);
  }

  uploadStuck(): void {
    // A backend that answers early may well leave the rest unread: then its answer is all that counts.
    if (this.#download === undefined) this.#giveUp("response_timeout");
  }

  timedOut(): void {
    if (this.#download === undefined) {
      return this.#giveUp(this.#dialing === undefined ? "response_timeout" : "connect_timeout");
    }
    this.cancel(this.#download.waitsForClient ? "client_gone" : "idle_timeout");
  }

  #giveUp(why: GivenUp): void {
    this.#givenUp = why;
    this.#breakOff();
  }

  #breakOff(): void {
    this.#dialing?.abort();
    this.#connection?.close();
    if (this.#download?.waitsForClient === true) this.#client.close(); // it may never take what it is sent
  }

  async #connect(backend: Backend): Promise<BackendConnection> {
    this.#dialing = new AbortController();
    this.#context.connectTimeouts.start(this);
    try {
      const connection = await this.#context.backends.connect(backend, this.#dialing.signal);
      this.#givenUp = undefined; // the limit passed just then: too late
      return connection;
    } finally {
      this.#dialing = undefined;
      this.stopClock();
    }
  }

  async #attemptAnew(backend: Backend, headers: HeaderPair[]): Promise<WireResponse> {
    let connection: BackendConnection;
    try {
      connection = await this.#connect(backend);
    } catch (error) {
      throw this.#explain(error);
    }
    return await this.#converse(connection, headers, { reused: false });
  }

  /** Sends the request, and waits for the answer's head while the rest of the body is on its way. */
  async #converse(
    connection: BackendConnection,
    headers: HeaderPair[],
    { reused }: { readonly reused: boolean },
  ): Promise<WireResponse> {
    this.#connection = connection;
    try {
      this.#send(connection, headers);
      let head = this.#readHead(connection);
      while (head === undefined || isInformational(head)) {
        await (head === undefined ? connection.inlet.more() : this.#passInformational(head));
        head = this.#readHead(connection);
      }
      return this.#accepted(head, connection);
    } catch (error) {
      return this.#attemptFailed(connection, headers, reused && error instanceof NoAnswer, error);
    }
  }

  #readHead(connection: BackendConnection): Http1Response | undefined {
    const head = connection.readHead(this.request.method, this.#context.maxHeaderBytes);
    if (head === undefined && connection.inlet.ended) {
      throw this.#hinted ? new MalformedMessage("nothing behind a 1xx") : new NoAnswer();
    }
    return head;
  }

  #accepted(head: Http1Response, connection: BackendConnection): WireResponse {
    this.stopClock();
    if (head.status === 101 && !isAsked(head.upgrade, this.request.upgrade)) {
      throw new MalformedMessage("an unasked 101");
    }
    const carriesTrailers = head.framing.kind === "chunked" && this.request.minorVersion === 1;
    return { status: head.status, headers: head.fields, carriesTrailers, head, connection };
  }

  /** @param stale whether the backend closed an idle connection just then: that is no failure, a new one will do */
  #attemptFailed(
    connection: BackendConnection,
    headers: HeaderPair[],
    stale: boolean,
    error: unknown,
  ): Promise<WireResponse> {
    this.stopClock();
    this.#connection = undefined;
    connection.close();
    const brokenOff = this.#givenUp !== undefined || this.#cancelled !== undefined;
    if (!stale || brokenOff || !this.#safe) throw this.#explain(error);
    return this.#attemptAnew(connection.backend, headers);
  }

  /** Whether the request changes nothing, so that nobody has to decide whether it is sent again. */
  get #safe(): boolean {
    return this.#upload === undefined && isSafe(this.request.method);
  }

  #send(connection: BackendConnection, headers: HeaderPair[]): void {
    if (this.#cancelled !== undefined) throw new NoAnswer();
    const { request } = this;
    const target = { method: request.method, target: targetFor(connection.backend, request.target) };
    const lines = connectionLines(request.upgrade, takesTrailers(headers));
    const head = requestHead(target, headers, request.framing, lines, request.section);
    const upload = this.#upload;
    const { out } = connection;
    const length = encodeHead(head, out);
    const bytes = length === -1
      ? Buffer.from(head, "latin1") // too long for the scratch
      : out.subarray(0, upload === undefined ? length : upload.takeReady(out, length));
    if (this.#cancelled !== undefined) throw new NoAnswer(); // what came of the body is no good
    if (upload !== undefined && !upload.done) return void this.#sendBody(connection, upload, connection.send(bytes));
    connection.post(bytes);
    this.uploadEnded();
  }

  async #sendBody(connection: BackendConnection, upload: Upload, sent: Promise<boolean>): Promise<void> {
    if (await sent && this.#cancelled === undefined) await upload.run(connection);
  }

  async #passInformational({ status, reason, fields }: Http1Response): Promise<void> {
    this.#hinted = true;
    await this.#context.pace.pause(); // there may be no end to them
    if (this.request.minorVersion === 0) return; // HTTP/1.0 knows none (RFC 9110 §15.2)
    this.informed = true;
    const head = responseHead({ status, reason }, forwardInformational({ status, headers: fields }), "nothing", "");
    await this.#client.sendInTime(Buffer.from(head, "latin1"));
  }

  async #finish(download: Download, head: Http1Response, running: Promise<DownloadEnd>): Promise<Relayed> {
    return this.#relayed(download, head, await running);
  }

  #relayed(download: Download, head: Http1Response, end: DownloadEnd): Relayed {
    this.stopClock();
    const failure = this.#failureOf(end, download.fault);
    const reusable = failure === undefined && head.keepAlive && head.framing.kind !== "until-close";
    this.#release(reusable && !this.#uploading);
    if (failure !== undefined || this.#uploading) this.keepsClient = false;
    if (!download.begun) {
      this.#download = undefined;
      return { bytesOut: 0, failure, unsaid: true };
    }
    if (failure !== undefined) this.#client.close();
    return { bytesOut: download.bytesOut, failure };
  }

  async #tunnel({ head, connection }: WireResponse, headers: HeaderPair[]): Promise<Relayed> {
    this.#tunnelled = true;
    this.#requestClock?.stopClock();
    const lines = `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`;
    const opened = await this.#client.sendInTime(Buffer.from(responseHead(head, headers, "nothing", lines), "latin1"));
    // A WebSocket has said goodbye by then; in other protocols one side may be done and the other go on for long.
    const lingering = this.request.upgrade?.toLowerCase() === "websocket" ? this.#context.lingerTimeouts : undefined;
    const tunnel = new Tunnel(this.#client, connection, this.#context.pace, lingering);
    const leave = connection.backend.joinLasting(tunnel);
    const { bytesIn, bytesOut } = opened ? await tunnel.run() : { bytesIn: 0, bytesOut: 0 };
    leave();
    this.#tunnelBytesIn = bytesIn;
    this.#release(false);
    this.#client.close();
    return { bytesOut, failure: undefined };
  }

  /** Whether the client's connection serves on after this answer; it is told before its body has come. */
  #canKeepClient({ framing }: Http1Response): boolean {
    const { keepAlive, minorVersion } = this.request;
    return keepAlive && !this.#uploading && !this.#context.stopping &&
      (minorVersion === 1 || framing.kind === "length");
  }

  #clientLines(): string {
    return !this.keepsClient ? CLOSE_LINE : this.request.minorVersion === 0 ? KEEP_ALIVE_LINE : "";
  }

  #release(reusable: boolean): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (reusable && connection !== undefined) this.#context.backends.giveBack(connection);
    else connection?.close();
  }

  #endUpload(): void {
    if (!this.#uploading) return;
    this.#uploading = false;
    this.#context.uploads--;
  }

  #failureOf(end: DownloadEnd, fault: string): ProxyError | undefined {
    if (end === "whole") return undefined;
    if (end === "client_gone") this.clientLeft();
    return this.#explain(end === "malformed" ? new MalformedMessage(fault) : new ResponseBroken());
  }

  #explain(error: unknown): ProxyError {
    return explain(error, this.#cancelled, this.#givenUp, this.#faultDetail);
  }
}

/** The limit of a request as a whole. */
class RequestClock extends Timed {
  constructor(readonly exchange: WireExchange) {
    super();
  }

  timedOut(): void {
    this.exchange.cancel("request_timeout");
  }
}

function stopping(): ProxyError {
  return new ProxyError("The proxy is shutting down.", { code: "stopping", side: "client", requestSent: false });
}

function isInformational({ status }: Http1Response): boolean {
  return status < 200 && status !== 101;
}

/** @throws {ProxyError} when the target would lead out of the backend's base path */
function targetFor({ basePath }: Backend, target: string): string {
  if (basePath === "") return target;
  checkBelowBase(target);
  return target === "*" ? target : basePath + target;
}

/** `TE` is the connection's own, and so has to be named in `Connection` (RFC 9110 §10.1.4). */
function connectionLines(upgrade: string | undefined, te: boolean): string {
  if (upgrade === undefined) return te ? "Connection: TE\r\n" : "";
  return `Connection: Upgrade${te ? ", TE" : ""}\r\nUpgrade: ${upgrade}\r\n`;
}

function takesTrailers(headers: readonly HeaderPair[]): boolean {
  for (const [name] of headers) {
    if (name.length === 2 && name.toLowerCase() === "te") return true;
  }
  return false;
}

/** Whether a backend switches to nothing but what its client asked for (RFC 9110 §7.8). */
function isAsked(switchedTo: string | undefined, asked: string | undefined): boolean {
  if (switchedTo === undefined || asked === undefined) return false;
  const offered = protocolsOf(asked);
  return protocolsOf(switchedTo).every((protocol) => offered.includes(protocol));
}
