/**
 * Connections that send nothing, or half of a TLS handshake, at all ports. There are far more than file descriptors.
 */

import { portsOf } from "../doors.ts";
import { again, type Attack } from "./attack.ts";
import { pause } from "../pause.ts";

const AT_EACH_DOOR = 200;
const HELD_MS = 4000;
const REST_MS = 500;

/** The beginning of a ClientHello that announces 512 bytes. */
const HALF_A_HELLO = Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03);

async function begin(port: number, index: number): Promise<Deno.Conn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  if (index % 2 === 0) await connection.write(HALF_A_HELLO).catch(() => {}); // the connection was cut already
  return connection;
}

export const staySilent: Attack = (doors, count) => {
  for (const port of portsOf(doors)) {
    again(REST_MS, async () => {
      const begun = await Promise.allSettled(Array.from({ length: AT_EACH_DOOR }, (_, index) => begin(port, index)));
      await pause(HELD_MS);
      for (const connection of begun) {
        count(connection.status === "fulfilled" ? "silent connections" : "silent connections refused");
        if (connection.status === "fulfilled") connection.value.close();
      }
    });
  }
};
