/** HTTP/2 frames that cost the sender nothing, as fast as the program takes them, on one connection after the other. */

import { concat } from "../../../tests/support/raw_client.ts";
import { frame, RawHttp2Client } from "../../../tests/support/raw_http2.ts";
import { again, type Attack } from "./attack.ts";

const FLOOD_MS = 2000;
const REST_MS = 500;
const FRAMES_AT_A_TIME = 5000;
const END_HEADERS = 4;
const PRIORITY = 2;
const WINDOW_UPDATE = 8;
/** The head of a POST: entries of the static table, and path and authority as literals (RFC 7541). */
function postHead(path: string): number[] {
  const text = (value: string) => [value.length, ...new TextEncoder().encode(value)];
  return [0x83, 0x87, 0x04, ...text(path), 0x01, ...text("soak")];
}

const FLOODS = {
  "PRIORITY": { first: undefined, repeat: frame(PRIORITY, 0, 3, [0, 0, 0, 0, 1]) },
  "WINDOW_UPDATE": { first: undefined, repeat: frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1]) },
  "empty DATA": { first: postHead, repeat: frame("DATA", 0, 1) },
};

export const floodHttp2: Attack = ({ proxy, authority, targets }, count) => {
  if (authority === undefined) throw new Error("HTTP/2 comes over TLS");
  again(REST_MS, async () => {
    for (const [what, { first, repeat }] of Object.entries(FLOODS)) {
      using client = await RawHttp2Client.connect(proxy, authority);
      const block = concat(Array.from({ length: FRAMES_AT_A_TIME }, () => repeat));
      if (first !== undefined) await client.send(frame("HEADERS", END_HEADERS, 1, first(targets.upload)));
      const end = performance.now() + FLOOD_MS;
      try {
        for (; performance.now() < end; count(`blocks of ${FRAMES_AT_A_TIME} ${what} frames`)) await client.send(block);
      } catch {
        count(`floods of ${what} that were cut off`);
      }
    }
  });
};
