/** Uploads in chunks of one byte, as fast as they are taken: to a backend and to the admin API. */

import { RawClient } from "../../../tests/support/raw_client.ts";
import { open } from "../doors.ts";
import { again, type Attack } from "./attack.ts";

const CHUNKS = 100_000;
const CHUNKS_AT_A_TIME = 1000;
const BLOCK = "1\r\n \r\n".repeat(CHUNKS_AT_A_TIME);
const REST_MS = 500;

/** Reads the answer meanwhile: the body may be refused before its end. */
async function upload(client: RawClient, head: string): Promise<void> {
  const sending = (async () => {
    await client.send(`${head}\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n`);
    for (let sent = 0; sent < CHUNKS; sent += CHUNKS_AT_A_TIME) await client.send(BLOCK);
    await client.send("0\r\n\r\n");
  })().catch(() => {}); // it was refused
  await client.response();
  client.close();
  await sending;
}

export const uploadSmallChunks: Attack = (doors, count) => {
  again(REST_MS, async () => {
    using client = await open(doors);
    await upload(client, `POST ${doors.targets.upload} HTTP/1.1`);
    count("uploads of one-byte chunks to the proxy");
  });
  again(REST_MS, async () => {
    using client = await RawClient.connect(doors.admin);
    await upload(client, "POST /backends HTTP/1.1\r\nContent-Type: application/json");
    count("uploads of one-byte chunks to the admin API");
  });
};
