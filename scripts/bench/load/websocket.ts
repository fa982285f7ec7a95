/**
 * A load generator: WebSocket connections that send a text message and wait for its echo, again and again. Prints a
 * `WebSocketResult` as JSON.
 *
 *     deno run --allow-net websocket.ts JSON
 */
import { percentile } from "../statistics.ts";

/** What the argument holds. */
export interface WebSocketOptions {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /** Of a message: at most 125. */
  readonly bytes: number;
}

/** What is printed. */
export interface WebSocketResult {
  readonly messages: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

const handshake = (port: number) =>
  `GET /echo HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/** A text message as a client has to send it. The mask is 0, so that the text stays what it is. */
export function messageFrame(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array([0x81, 0x80 | bytes, 0, 0, 0, 0, ...new Array<number>(bytes).fill(120)]);
}

async function generate({ port, connections, seconds, bytes }: WebSocketOptions): Promise<WebSocketResult> {
  const frame = messageFrame(bytes);
  const echoBytes = frame.length - 4; // a server's message has no mask
  const latencies: number[] = [];

  async function converse(): Promise<void> {
    using socket = await Deno.connect({ hostname: "127.0.0.1", port });
    socket.setNoDelay(true);
    const buffer = new Uint8Array(4_096);
    const read = async () => {
      const count = await socket.read(buffer);
      if (count === null) throw new Error("the connection ended");
      return count;
    };
    await socket.write(new TextEncoder().encode(handshake(port)));
    let head = "";
    while (!head.includes("\r\n\r\n")) head += new TextDecoder().decode(buffer.subarray(0, await read()));
    if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`no upgrade: ${head.split("\r\n")[0]}`);
    const end = performance.now() + seconds * 1_000;
    for (let now = performance.now(); now < end;) {
      await socket.write(frame); // so short that it is taken whole
      for (let received = 0; received < echoBytes;) received += await read();
      const then = performance.now();
      latencies.push(then - now);
      now = then;
    }
  }

  await Promise.all(Array.from({ length: connections }, converse));
  const sorted = Float64Array.from(latencies).sort();
  const [p50Ms = NaN, p99Ms = NaN, p999Ms = NaN] = [50, 99, 99.9].map((percent) => percentile(sorted, percent));
  return { messages: latencies.length, p50Ms, p99Ms, p999Ms };
}

if (import.meta.main) console.log(JSON.stringify(await generate(JSON.parse(Deno.args[0] ?? "{}"))));
