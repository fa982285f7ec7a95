/** WebSockets byte by byte (RFC 6455): what a raw client and a raw backend need of them. */

import type { RawConnection } from "./raw_backend.ts";
import { concat } from "./raw_client.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** The opening handshake of a client, header lines each with its CRLF. */
export function webSocketHandshake(target = "/", headers = ""): string {
  return `GET ${target} HTTP/1.1\r\nHost: ws.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n${headers}\r\n`;
}

/** Accepts the handshake that has come over a connection; header lines each with its CRLF. */
export async function acceptWebSocket(connection: RawConnection, lines = ""): Promise<void> {
  const key = /^sec-websocket-key: *(.*?) *\r$/im.exec(connection.received)?.[1] ?? "";
  const bytes = new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  const accept = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes)).toBase64();
  await connection.send(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${accept}\r\n${lines}\r\n`,
  );
}

/** A whole frame of at most 125 bytes. Those of a client are masked. */
export function frame(opcode: number, payload: Uint8Array, masked: boolean): Uint8Array<ArrayBuffer> {
  const mask = masked ? [1, 2, 3, 4] : [];
  const body = masked ? payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)) : payload;
  return concat([Uint8Array.of(0x80 | opcode, (masked ? 0x80 : 0) | payload.length, ...mask), body]);
}

/** A text message. */
export function textFrame(text: string, masked: boolean): Uint8Array<ArrayBuffer> {
  return frame(0x1, new TextEncoder().encode(text), masked);
}

/** A close frame with this code. */
export function closeFrame(code: number, masked: boolean): Uint8Array<ArrayBuffer> {
  return frame(0x8, Uint8Array.of(code >> 8, code & 0xff), masked);
}
