/**
 * Uploads in a million chunks of one byte or of eight bytes, to a backend and to the admin API, as fast as they are
 * taken.
 */

import { RawClient } from "../../../tests/support/raw_client.ts";
import { open } from "../doors.ts";
import { again, type Attack } from "./attack.ts";

const CHUNKS = 1_000_000;
const CHUNKS_AT_A_TIME = 1000;
const REST_MS = 500;

/** Reads the answer during the upload, because the body may be refused before its end. Returns the result. */
async function upload(client: RawClient, head: string, block: Uint8Array): Promise<string> {
  const sending = (async () => {
    await client.send(`${head}\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n`);
    for (let sent = 0; sent < CHUNKS; sent += CHUNKS_AT_A_TIME) await client.send(block);
    await client.send("0\r\n\r\n");
  })().catch(() => {}); // the upload was refused
  const response = await client.response();
  client.close();
  await sending;
  return response === undefined ? "without an answer" : `answered with ${response.status}`;
}

function uploads(what: string, chunk: string): Attack {
  const block = new TextEncoder().encode(chunk.repeat(CHUNKS_AT_A_TIME));
  return (doors, count) => {
    again(REST_MS, async () => {
      using client = await open(doors);
      const ending = await upload(client, `POST ${doors.targets.upload} HTTP/1.1`, block);
      count(`uploads of a million ${what} chunks, ${ending}`);
    });
    again(REST_MS, async () => {
      using client = await RawClient.connect(doors.admin);
      const ending = await upload(client, "POST /backends HTTP/1.1\r\nContent-Type: application/json", block);
      count(`uploads of ${what} chunks to the admin API, ${ending}`);
    });
  };
}

export const uploadOneByteChunks = uploads("one-byte", "1\r\n \r\n");
export const uploadEightByteChunks = uploads("eight-byte", "8\r\n12345678\r\n");
