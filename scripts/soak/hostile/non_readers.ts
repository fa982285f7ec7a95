/** Clients that request 8 MB and read nothing. */

import { open } from "../doors.ts";
import { again, type Attack } from "./attack.ts";
import { pause } from "../pause.ts";

const AT_A_TIME = 600;
const HELD_MS = 5000;
const REST_MS = 1000;

export const askWithoutReading: Attack = (doors, count) => {
  again(REST_MS, async () => {
    await Promise.allSettled(Array.from({ length: AT_A_TIME }, async () => {
      using client = await open(doors);
      await client.send(`GET ${doors.targets.large} HTTP/1.1\r\nHost: soak\r\n\r\n`);
      count("8 MB that nobody read");
      await pause(HELD_MS);
    }));
  });
};
