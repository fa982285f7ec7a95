/**
 * A client for long runs. It does one random action after another, and checks that each response belongs to its
 * request.
 */

import { RawClient, type RawResponse, textOf } from "./raw_client.ts";
import { closeFrame, textFrame, webSocketHandshake } from "./raw_websocket.ts";

/** An action that takes longer is stuck. The limits of the proxy must be far lower. */
const STUCK_MS = 10_000;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** What the clients saw. */
export class Tally {
  readonly statuses = new Map<string, number>();
  actions = 0;
  /** Faults: responses that belong to another request, and actions that hang. */
  readonly wrongs: string[] = [];

  count(status: string): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
  }

  get summary(): string {
    return [...this.statuses].sort().map(([status, count]) => `${status}: ${count}`).join(", ");
  }
}

export interface ActorOptions {
  readonly name: string;
  /** Where the proxy listens. */
  readonly port: number;
  readonly random: () => number;
  readonly tally: Tally;
  /**
   * Whether a client may wait for ever if its response broke off before the proxy had read its whole body. With
   * `Deno.serve` such a connection stays open until the client closes it.
   */
  readonly uploadsMayHang: boolean;
}

/** One client. It keeps its connection if the proxy does. */
export class Actor {
  readonly #port: number;
  readonly #random: () => number;
  readonly #tally: Tally;
  readonly #name: string;
  readonly #uploadsMayHang: boolean;
  #client: RawClient | undefined;
  #requests = 0;

  constructor({ name, port, random, tally, uploadsMayHang }: ActorOptions) {
    this.#name = name;
    this.#port = port;
    this.#random = random;
    this.#tally = tally;
    this.#uploadsMayHang = uploadsMayHang;
  }

  /** Does one thing after another until told to stop. */
  async run(stop: AbortSignal): Promise<void> {
    const actions = [
      this.#get,
      this.#get,
      this.#get,
      this.#post,
      this.#postChunked,
      this.#pipeline,
      this.#leaveEarly,
      this.#leaveInBody,
      this.#leaveInAnswer,
      this.#readSlowly,
      this.#webSocket,
      this.#garbage,
    ];
    while (!stop.aborted) {
      const action = this.#pick(actions);
      this.#tally.actions++;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const stuck = new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          const isUpload = action === this.#post || action === this.#postChunked;
          if (isUpload && this.#uploadsMayHang) this.#tally.count("upload left hanging");
          else this.#tally.wrongs.push(`stuck: ${action.name}`);
          resolve(this.#hangUp());
        }, STUCK_MS);
      });
      await Promise.race([action.call(this).catch(() => this.#hangUp()), stuck]); // a connection may be cut at any time
      clearTimeout(timer);
      await pause(this.#random() * 10);
    }
    this.#hangUp();
  }

  #pick<Value>(values: readonly [Value, ...Value[]] | readonly Value[]): Value {
    const value = values[Math.floor(this.#random() * values.length)];
    if (value === undefined) throw new Error("nothing to pick from");
    return value;
  }

  async #open(): Promise<RawClient> {
    return this.#client ??= await RawClient.connect(this.#port);
  }

  #hangUp(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  #head(start: string, headers = ""): { readonly token: string; readonly text: string } {
    const token = `${this.#name}-${++this.#requests}`;
    return { token, text: `${start} HTTP/1.1\r\nHost: soak\r\nX-Token: ${token}\r\n${headers}\r\n` };
  }

  /** Reads the response to the request with this token. A 200 must contain the token. */
  async #answer(client: RawClient, token: string, method = "GET"): Promise<void> {
    let response: RawResponse | undefined;
    do response = await client.response(method); while (response !== undefined && isInterim(response));
    if (response === undefined) {
      this.#tally.count("closed");
      return this.#hangUp();
    }
    this.#tally.count(response.complete ? String(response.status) : "cut");
    const text = textOf(response);
    if (response.complete && response.status === 200 && method !== "HEAD" && text.split(" ")[0] !== token) {
      this.#tally.wrongs.push(`the answer to ${token} was ${JSON.stringify(text.slice(0, 80))}`);
    }
    const closing = response.headers.some(([name, value]) => /^connection$/i.test(name) && /close/i.test(value));
    if (!response.complete || closing) this.#hangUp();
  }

  async #get(): Promise<void> {
    const client = await this.#open();
    const method = this.#pick(["GET", "GET", "GET", "HEAD", "OPTIONS", "DELETE"]);
    const { token, text } = this.#head(`${method} /get`);
    await client.send(text);
    await this.#answer(client, token, method);
  }

  async #post(): Promise<void> {
    const client = await this.#open();
    const body = new Uint8Array(Math.floor(this.#random() ** 4 * 300_000));
    const { token, text } = this.#head("POST /post", `Content-Length: ${body.length}\r\n`);
    // A backend may answer before it has read the body, so the client sends and reads at the same time.
    await Promise.all([client.send(text).then(() => client.send(body)), this.#answer(client, token)]);
  }

  async #postChunked(): Promise<void> {
    const client = await this.#open();
    const { token, text } = this.#head("PUT /post", "Transfer-Encoding: chunked\r\n");
    await client.send(text);
    for (let part = 0; part < 5; part++) await client.send("400\r\n" + "x".repeat(0x400) + "\r\n");
    await client.send("0\r\n\r\n");
    await this.#answer(client, token);
  }

  async #pipeline(): Promise<void> {
    const client = await this.#open();
    const heads = [1, 2, 3].map(() => this.#head("GET /pipelined"));
    await client.send(heads.map(({ text }) => text).join(""));
    for (const { token } of heads) {
      if (this.#client === undefined) return;
      await this.#answer(client, token);
    }
  }

  async #leaveEarly(): Promise<void> {
    const client = await this.#open();
    const { text } = this.#head("GET /left");
    await client.send(text.slice(0, Math.ceil(this.#random() * text.length * 1.5)));
    await pause(this.#random() * 20);
    this.#hangUp();
    this.#tally.count("left early");
  }

  async #leaveInBody(): Promise<void> {
    const client = await this.#open();
    await client.send(this.#head("POST /left", "Content-Length: 1000000\r\n").text);
    await client.send(new Uint8Array(Math.floor(this.#random() * 200_000)));
    await pause(this.#random() * 20);
    this.#hangUp();
    this.#tally.count("left in body");
  }

  async #leaveInAnswer(): Promise<void> {
    const client = await this.#open();
    await client.send(this.#head("GET /large").text);
    await client.chunk();
    this.#hangUp();
    this.#tally.count("left in answer");
  }

  async #readSlowly(): Promise<void> {
    this.#hangUp();
    const client = await this.#open();
    await client.send(this.#head("GET /large", "Connection: close\r\n").text);
    for (let chunk = 0; chunk < 20; chunk++) {
      if ((await client.chunk()).length === 0) break;
      await pause(20);
    }
    while ((await client.chunk()).length > 0);
    this.#hangUp();
    this.#tally.count("read slowly");
  }

  async #webSocket(): Promise<void> {
    this.#hangUp();
    const client = await this.#open();
    await client.send(webSocketHandshake("/socket"));
    let response: RawResponse | undefined;
    do response = await client.response(); while (response !== undefined && isInterim(response));
    this.#tally.count(`WebSocket ${response?.status ?? "closed"}`);
    if (response?.status === 101) {
      for (let message = 0; message < 3; message++) {
        await client.send(textFrame(`${this.#name} ${message}`, true));
        const echo = new TextDecoder().decode((await client.chunk()).subarray(2));
        if (echo !== `${this.#name} ${message}`) {
          this.#tally.wrongs.push(`an echo was ${JSON.stringify(echo.slice(0, 80))}`);
        }
      }
      if (this.#random() < 0.5) {
        await client.send(closeFrame(1000, true));
        await client.chunk();
      }
    }
    this.#hangUp();
  }

  async #garbage(): Promise<void> {
    this.#hangUp();
    const client = await this.#open();
    const bytes = Uint8Array.from(
      { length: 1 + Math.floor(this.#random() * 2000) },
      () => Math.floor(this.#random() * 256),
    );
    const lies = [
      "GET / HTTP/1.1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "\r\n\r\n\r\n",
    ];
    await client.send(this.#random() < 0.5 ? bytes : this.#pick(lies));
    await client.connection.closeWrite();
    await client.rest();
    this.#hangUp();
    this.#tally.count("garbage");
  }
}

/** Whether a final response is still to come. */
function isInterim({ status }: RawResponse): boolean {
  return status < 200 && status !== 101;
}
