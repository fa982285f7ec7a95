/** Downloads in chunks of eight bytes, read as fast as they arrive. */

import { open } from "../doors.ts";
import { again, type Attack } from "./attack.ts";

const REST_MS = 1000;

export const downloadSmallChunks: Attack = (doors, count) => {
  const bytes = new Uint8Array(1024 * 1024);
  again(REST_MS, async () => {
    using client = await open(doors);
    await client.send(`GET ${doors.targets.smallChunks} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n`);
    while (await client.connection.read(bytes) !== null);
    count("downloads of eight-byte chunks");
  });
};
