/** Heads that never end, with a header line from time to time, at the ports of the admin API and the redirect. */

import { RawClient } from "../../../tests/support/raw_client.ts";
import { again, type Attack } from "./attack.ts";
import { pause } from "../pause.ts";

const AT_EACH_DOOR = 505;
const LINE_EVERY_MS = 1000;
const LINES = 30;
const REST_MS = 500;

/** Sends until the connection is cut, as it should be. */
async function dawdle(port: number): Promise<void> {
  using client = await RawClient.connect(port);
  await client.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n");
  for (let line = 0; line < LINES; line++) {
    await client.send(`X-Line: ${line}\r\n`);
    await pause(LINE_EVERY_MS);
  }
}

export const leaveHeadsUnfinished: Attack = ({ admin, redirect }, count) => {
  for (const port of redirect === undefined ? [admin] : [admin, redirect]) {
    for (let index = 0; index < AT_EACH_DOOR; index++) {
      again(REST_MS, async () => {
        count("unfinished heads");
        await dawdle(port);
      });
    }
  }
};
