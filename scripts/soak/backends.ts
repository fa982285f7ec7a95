/** Process: all backends, those that behave well and those that do not. */

import { RawBackend, type RawConnection, refusedUrl } from "../../tests/support/raw_backend.ts";
import { badBackend, goodBackend } from "../../tests/support/raw_misbehaving.ts";
import { help } from "./helper_process.ts";
import { seeded } from "./random.ts";

export interface BackendUrls {
  /** Serves `/polite`, `/small-chunks`, `/large` and `/upload`. */
  readonly serving: string;
  readonly good: string;
  /** Answers within 200 ms. */
  readonly slow: string;
  readonly bad: readonly string[];
}

const LARGE_BYTES = 8 * 1024 * 1024;
const BLOCK = new TextEncoder().encode("x".repeat(64 * 1024));
/** The chunks of a download: about 13 MB with their framing. */
const SMALL_CHUNKS = 1_000_000;
const SMALL_CHUNK = "8\r\n12345678\r\n";
const SMALL_CHUNKS_AT_A_TIME = 20_000;
const SMALL_BLOCK = new TextEncoder().encode(SMALL_CHUNK.repeat(SMALL_CHUNKS_AT_A_TIME));
const LAST_CHUNK = "0\r\n\r\n";

/** Gives other connections a turn. If each read and write is ready at once, the runtime looks at no other socket. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function smallChunks(connection: RawConnection): Promise<void> {
  await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  for (let sent = 0; sent < SMALL_CHUNKS; sent += SMALL_CHUNKS_AT_A_TIME) {
    await connection.send(SMALL_BLOCK);
    await turn();
  }
  await connection.send(LAST_CHUNK);
}

async function large(connection: RawConnection): Promise<void> {
  await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${LARGE_BYTES}\r\nConnection: close\r\n\r\n`);
  for (let sent = 0; sent < LARGE_BYTES; sent += BLOCK.length) await connection.send(BLOCK);
}

/** Reads an upload without keeping it. */
async function upload(connection: RawConnection): Promise<void> {
  let tail = connection.received.slice(-LAST_CHUNK.length);
  const decoder = new TextDecoder();
  while (tail !== LAST_CHUNK) {
    const bytes = await connection.read();
    await turn();
    if (bytes === undefined) return;
    tail = (tail + decoder.decode(bytes.subarray(-LAST_CHUNK.length))).slice(-LAST_CHUNK.length);
  }
  await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

function servingBackend(): RawBackend {
  return new RawBackend(async (connection) => {
    while (await connection.head()) {
      if (connection.received.includes(" /polite/")) {
        await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npolite");
        continue;
      }
      if (connection.received.includes(" /upload/")) return await upload(connection);
      if (connection.received.includes(" /small-chunks/")) return await smallChunks(connection);
      return await large(connection);
    }
  });
}

await help(({ seed }: { readonly seed: number }) => {
  const random = seeded(seed);
  const begun: BackendUrls = {
    serving: servingBackend().url,
    good: goodBackend(random, 0).url,
    slow: goodBackend(random, 200).url,
    bad: [badBackend(random).url, badBackend(random).url, refusedUrl()],
  };
  return { begun, finish: () => null };
});
