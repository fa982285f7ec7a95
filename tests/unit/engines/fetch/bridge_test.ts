import { assertEquals } from "@std/assert";
import { FakeTime } from "../../../support/fake_time.ts";
import { Bridge } from "../../../../src/engines/fetch/bridge.ts";

/** A socket that does what it is told, and nothing by itself. */
class FakeSocket {
  readyState: number;
  bufferedAmount = 0;
  binaryType = "";
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly sent: unknown[] = [];
  readonly closes: (number | undefined)[] = [];

  constructor(readyState: number) {
    this.readyState = readyState;
  }

  send(data: unknown): void {
    this.sent.push(data);
  }

  /** Whether the other end answers the closing handshake. */
  answers = true;

  close(code?: number): void {
    this.closes.push(code);
    if (this.readyState === WebSocket.CLOSED) return;
    this.readyState = WebSocket.CLOSING;
    if (!this.answers) return;
    this.readyState = WebSocket.CLOSED;
    queueMicrotask(() => this.onclose?.({ code: code ?? 1005, reason: "" }));
  }
}

function bridged() {
  const [client, backend] = [new FakeSocket(WebSocket.CONNECTING), new FakeSocket(WebSocket.OPEN)];
  // The two of them have all that a bridge uses.
  const bridge = new Bridge(client as unknown as WebSocket, backend as unknown as WebSocket, ["early"]);
  return { client, backend, bridge };
}

Deno.test("Bridge gives the client what the backend said before its side was open, in order", async () => {
  const { client, backend, bridge } = bridged();
  backend.onmessage?.({ data: "one" });
  client.readyState = WebSocket.OPEN;
  client.onopen?.();
  backend.onmessage?.({ data: "two" });
  assertEquals(client.sent, ["early", "one", "two"]);
  client.close(1000);
  await bridge.ended;
});

// A backend that talked on while a client's side did not open filled the memory of the proxy.
Deno.test("Bridge keeps 32 MiB at most for a client whose side does not open", async () => {
  const { client, backend, bridge } = bridged();
  const mebibyte = new ArrayBuffer(1024 ** 2);
  for (let count = 0; count < 32; count++) backend.onmessage?.({ data: mebibyte });
  assertEquals(backend.closes, []);
  backend.onmessage?.({ data: mebibyte });
  assertEquals([client.closes[0], backend.closes.length > 0], [1013, true]);
  await bridge.ended;
});

// A removed backend kept its place for as long as two silent sides liked, and for 5 s where one of them was silent.
Deno.test("Bridge ends within a second of its goodbye, whoever answers that", async () => {
  for (const [clientAnswers, backendAnswers] of [[false, false], [false, true], [true, false], [true, true]] as const) {
    using time = new FakeTime();
    const { client, backend, bridge } = bridged();
    client.readyState = WebSocket.OPEN;
    [client.answers, backend.answers] = [clientAnswers, backendAnswers];
    let ended = false;
    bridge.ended.then(() => ended = true);
    bridge.goAway();
    await Promise.resolve();
    time.advance(999);
    await Promise.resolve();
    assertEquals(ended, clientAnswers && backendAnswers);
    time.advance(1);
    await Promise.resolve();
    bridge.goAway(); // the proxy may stop at that moment
    assertEquals([ended, client.closes[0], backend.closes[0], time.timers.size], [true, 1001, 1000, 0]);
  }
});

Deno.test("Bridge ends where one side is too slow and neither answers the closing handshake", async () => {
  using time = new FakeTime();
  const { client, backend, bridge } = bridged();
  client.answers = backend.answers = false;
  client.readyState = WebSocket.OPEN;
  client.bufferedAmount = 33 * 1024 ** 2;
  backend.onmessage?.({ data: "more" });
  assertEquals([client.closes, backend.closes], [[1013], [1000]]);
  time.advance(5_000);
  await bridge.ended;
});
