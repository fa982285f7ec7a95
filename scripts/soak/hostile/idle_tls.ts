/**
 * Clients that finish their TLS handshake, send nothing and leave after a second. There are more than file descriptors.
 */

import { open } from "../doors.ts";
import { again, type Attack } from "./attack.ts";
import { pause } from "../pause.ts";

const AT_A_TIME = 400;
const HELD_MS = 1000;
const REST_MS = 500;

export const idleOverTls: Attack = (doors, count) => {
  again(REST_MS, async () => {
    await Promise.allSettled(Array.from({ length: AT_A_TIME }, async () => {
      using _ = await open(doors);
      count("idle TLS connections");
      await pause(HELD_MS);
    }));
  });
};
