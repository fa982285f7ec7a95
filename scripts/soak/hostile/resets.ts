/** Connects and resets, at all ports. Port scans and the TCP checks of other load balancers do this. */

import { connect } from "node:net";
import { portsOf } from "../doors.ts";
import { again, type Attack } from "./attack.ts";
import { pause } from "../pause.ts";

/** Together with `EVERY_MS`: a thousand a second over all ports, if the machine allows it. */
const AT_A_TIME = 10;
const EVERY_MS = 10;

function reset(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1", () => socket.resetAndDestroy());
  return new Promise((resolve) => socket.on("close", () => resolve()).on("error", () => {}));
}

export const connectAndReset: Attack = (doors, count) => {
  const ports = portsOf(doors);
  let turn = 0;
  let dueAt = performance.now();
  again(0, async () => {
    const port = ports[turn++ % ports.length] ?? doors.proxy;
    await Promise.all(Array.from({ length: AT_A_TIME }, () => reset(port)));
    for (let times = 0; times < AT_A_TIME; times++) count("connections reset");
    dueAt = Math.max(dueAt + EVERY_MS, performance.now() - EVERY_MS); // catches up, but by one interval at most
    await pause(Math.max(0, dueAt - performance.now()));
  });
};
