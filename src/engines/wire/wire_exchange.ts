/** One exchange of engine `wire`: moves the request from one socket to another, and the answer back. */

import { Buffer } from "node:buffer";
import type { ProxyError } from "../../errors.ts";
import { MalformedMessage } from "../../http1/malformed.ts";
import type { Http1Response } from "../../http1/response_head.ts";
import type { Backend } from "../../pool/backend.ts";
import type {
  AttemptListener,
  BodyWatcher,
  CopyListener,
  Exchange,
  Limits,
  OwnAnswer,
  Relayed,
  RequestCopies,
  RequestCopy,
  SentRequest,
} from "../../proxy/exchange.ts";
import { forwardInformational } from "../../proxy/headers.ts";
import type { HeaderPair } from "../../proxy/message.ts";
import type { WireAnswer } from "./backend/answer.ts";
import { Attempt, type AttemptOwner } from "./backend/attempt.ts";
import type { Clocks } from "./clocks.ts";
import type { WireContext } from "./context.ts";
import { WireCopy } from "./copy.ts";
import { Download, type DownloadEnd, type DownloadListener } from "./download.ts";
import type { ExchangeClient } from "./exchange_client.ts";
import { type Cancelled, explain, ResponseBroken } from "./failures.ts";
import { CLOSE_LINE, KEEP_ALIVE_LINE, responseHead } from "./heads.ts";
import type { WireRequest } from "./request.ts";
import { Timed } from "./timeouts.ts";
import { toldLength, transferOf } from "./transfer.ts";
import { Tunnel } from "./tunnel.ts";
import { Upload, type UploadFault, type UploadListener } from "./upload.ts";

type Listeners = AttemptOwner & UploadListener & DownloadListener & RequestCopies;

/** Its clock is the limit for the whole request. */
export class WireExchange extends Timed implements Exchange, Listeners {
  readonly request: WireRequest;
  /** The upload of a request with a body, from the first attempt on. */
  upload: Upload | undefined;
  /** Whether the client's connection can carry another request after this one. */
  keepsClient = false;
  /** The clocks of the request's own limits. */
  clocks: Clocks;
  readonly #client: ExchangeClient;
  readonly #context: WireContext;
  #limits!: Limits; // `keepTo` is called before everything that reads it
  #uploading: boolean;
  #attempt: Attempt | undefined;
  /** Of the last attempt. */
  #backend: Backend | undefined;
  #download: Download | undefined;
  /** Told when the answer has been relayed. */
  #listener: AttemptListener | undefined;
  #cancelled: Cancelled | undefined;
  /** Whether the backend's connection can be used again after the answer. */
  #reusable = false;
  /** Whether a 1xx of a backend was sent to the client. */
  #informed = false;
  #tunnelled = false;
  #onBreakOff: (() => void) | undefined;
  #tunnelBytesIn = 0;
  /** Shown the request's body. */
  #watcher: BodyWatcher | undefined;
  #faultDetail = "";

  constructor(request: WireRequest, client: ExchangeClient, context: WireContext) {
    super();
    this.request = request;
    this.#client = client;
    this.#context = context;
    this.#uploading = request.bodyBytes !== 0;
    if (this.#uploading) context.uploads.begin();
    else client.inlet.read(); // so that a client that leaves is noticed
    this.clocks = context.clocks;
  }

  get brokenOff(): ProxyError | undefined {
    return this.#cancelled === undefined ? undefined : this.explain(undefined);
  }

  get isBrokenOff(): boolean {
    return this.#cancelled !== undefined;
  }

  /**
   * Whether an upload or a tunnel reads from the client. An upload may still be sending what has arrived, and reads
   * nothing while the request is being decided about.
   */
  get ownsInlet(): boolean {
    return (this.#uploading && this.#onBreakOff === undefined) || this.#tunnelled;
  }

  get bytesIn(): number {
    return (this.upload?.bytesIn ?? 0) + this.#tunnelBytesIn;
  }

  get replayable(): boolean {
    return !this.#informed && (this.upload === undefined || this.upload.untouched);
  }

  get copies(): RequestCopies | undefined {
    return this.request.upgrade === undefined ? this : undefined;
  }

  watchBody(watcher: BodyWatcher): void {
    this.#watcher = watcher;
  }

  sendCopy(copy: RequestCopy, listener: CopyListener): void {
    new WireCopy(this.request, copy, this.#context, listener).run();
  }

  keepTo(limits: Limits): void {
    this.#limits = limits;
    this.clocks = this.#context.clockRoom.for(limits.timeouts);
    this.clocks.request?.start(this);
  }

  onBreakOff(listener: () => void): void {
    this.#onBreakOff = listener;
    if (this.#uploading) this.#client.inlet.read(); // no more than there is room for, so that a client that leaves is noticed
  }

  attempt(sent: SentRequest, listener: AttemptListener): void {
    this.#onBreakOff = undefined;
    if (this.brokenOff !== undefined) return listener.failed(this.brokenOff);
    if (this.#uploading) this.upload ??= this.#newUpload();
    this.#backend = sent.backend;
    this.#attempt = new Attempt(sent, listener, this.#context, this);
    this.#attempt.run();
  }

  relayAnswer(answer: WireAnswer, headers: HeaderPair[], listener: AttemptListener): void {
    const { head, connection } = answer;
    this.#listener = listener;
    if (head.status === 101) return void this.#tunnel(answer, headers).then((relayed) => listener.relayed(relayed));
    this.keepsClient = this.#canKeepClient(head);
    const { minorVersion, method } = this.request;
    const transfer = transferOf(head, minorVersion);
    const { framing } = head;
    const dropsTrailer = this.#limits.dropsResponseTrailer;
    const options = { framing, transfer, dropsTrailer, idle: this.clocks.idle };
    const download = new Download(connection, this.#client, options, this.#context, this);
    this.#download = download;
    const text = responseHead(head, headers, toldLength(head, method, transfer), this.#clientLines(), head);
    this.#reusable = head.keepAlive && framing.kind !== "until-close";
    download.run(text);
  }

  discardAnswer({ head }: WireAnswer): void {
    this.#attempt?.discard(head, !this.#uploading);
  }

  async answer(answer: OwnAnswer): Promise<void> {
    this.#onBreakOff = undefined;
    if (this.#cancelled === "client_gone") return;
    const { method, keepAlive } = this.request;
    const bodyIsIn = !this.#uploading || (this.upload ??= this.#newUpload()).skipReady();
    const wantsClose = answer.headers.some(([name]) => name === "connection") || this.#context.forwarder.leaving;
    this.keepsClient = keepAlive && bodyIsIn && !wantsClose && this.#cancelled === undefined;
    await this.#client.answer(answer, { withoutBody: method === "HEAD", lines: this.#clientLines() });
  }

  /** Ends the exchange, with any result. */
  end(): void {
    this.stopClock();
    this.#endUpload();
  }

  /** The client has closed its connection, or the connection broke. */
  clientLeft(): void {
    if (!this.#tunnelled) this.cancel("client_gone"); // in a tunnel one side may end before the other
  }

  /**
   * Breaks the exchange off at any point. Closes the backend's connection, so that waiting for it ends. The first
   * reason counts.
   */
  cancel(why: Cancelled): void {
    this.#cancelled ??= why;
    this.#onBreakOff?.();
    this.#onBreakOff = undefined;
    this.#attempt?.breakOff();
    if (this.#download?.waitsForClient === true) this.#client.close(); // it may never take these bytes
  }

  uploadEnded(): void {
    this.#endUpload();
    this.#attempt?.bodySent();
    this.#client.inlet.read();
  }

  uploadFailed(fault: UploadFault, detail: string): void {
    this.#faultDetail = detail;
    this.cancel(fault);
  }

  uploadStuck(): void {
    this.#attempt?.bodyStuck();
  }

  async informationalCame({ status, reason, fields }: Http1Response): Promise<void> {
    if (this.request.minorVersion === 0) return; // HTTP/1.0 has no 1xx (RFC 9110 §15.2)
    this.#informed = true;
    const head = responseHead({ status, reason }, forwardInformational({ status, headers: fields }), "nothing", "");
    await this.#client.sendInTime(Buffer.from(head, "latin1"));
  }

  downloadEnded(end: DownloadEnd): void {
    if (this.#download !== undefined) this.#listener?.relayed(this.#relayed(this.#download, end));
  }

  downloadStuck(side: "client" | "backend"): void {
    this.cancel(side === "client" ? "client_gone" : "idle_timeout");
  }

  timedOut(): void {
    this.cancel("request_timeout");
  }

  explain(error: unknown): ProxyError {
    return explain(error, this.#cancelled, this.#attempt?.givenUp, this.#faultDetail);
  }

  #newUpload(): Upload {
    const options = {
      limits: this.#limits,
      idle: this.clocks.idle,
      listener: this,
      clientClock: this.#client,
      watcher: this.#watcher,
    };
    return new Upload(this.request.framing, this.#client.inlet, this.#context, options);
  }

  #relayed(download: Download, end: DownloadEnd): Relayed {
    download.stopClock();
    const failure = this.#failureOf(end, download.fault);
    this.#attempt?.release(failure === undefined && this.#reusable && !this.#uploading);
    if (failure !== undefined || this.#uploading) this.keepsClient = false;
    if (!download.begun) return { bytesOut: 0, failure, unsaid: true };
    if (failure !== undefined) this.#client.close();
    return { bytesOut: download.bytesOut, failure };
  }

  async #tunnel({ head, connection }: WireAnswer, headers: HeaderPair[]): Promise<Relayed> {
    this.#tunnelled = true;
    this.stopClock();
    const lines = `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`;
    const opened = await this.#client.sendInTime(Buffer.from(responseHead(head, headers, "nothing", lines), "latin1"));
    // In a WebSocket, both sides have said goodbye before one ends. In other protocols, one side may end long before
    // the other.
    const lingering = this.request.upgrade?.toLowerCase() === "websocket" ? this.#context.lingerTimeouts : undefined;
    const tunnel = new Tunnel(this.#client, connection, this.#context.pace, lingering);
    const leave = this.#backend?.joinLasting(tunnel);
    const { bytesIn, bytesOut } = opened ? await tunnel.run() : { bytesIn: 0, bytesOut: 0 };
    leave?.();
    this.#tunnelBytesIn = bytesIn;
    this.#attempt?.release(false);
    this.#client.close();
    return { bytesOut, failure: undefined };
  }

  /** Whether the client's connection is kept after this answer. The head says so before the body has arrived. */
  #canKeepClient({ framing }: Http1Response): boolean {
    const { keepAlive, minorVersion } = this.request;
    return keepAlive && !this.#uploading && !this.#context.forwarder.leaving &&
      (minorVersion === 1 || framing.kind === "length");
  }

  #clientLines(): string {
    return !this.keepsClient ? CLOSE_LINE : this.request.minorVersion === 0 ? KEEP_ALIVE_LINE : "";
  }

  #endUpload(): void {
    if (!this.#uploading) return;
    this.#uploading = false;
    this.#context.uploads.end();
  }

  #failureOf(end: DownloadEnd, fault: string): ProxyError | undefined {
    if (end === "whole") return undefined;
    if (end === "client_gone") this.clientLeft();
    return this.explain(end === "malformed" ? new MalformedMessage(fault) : new ResponseBroken());
  }
}
