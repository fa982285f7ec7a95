/** Connect and reset, as port scans and other balancers' TCP checks do: at every door. */

import { connect } from "node:net";
import { portsOf } from "../doors.ts";
import { again, type Attack, pause } from "./attack.ts";

/** A thousand a second over all doors, as many as the machine lets through. */
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
    dueAt = Math.max(dueAt + EVERY_MS, performance.now() - EVERY_MS); // catches up a little, not forever
    await pause(Math.max(0, dueAt - performance.now()));
  });
};
