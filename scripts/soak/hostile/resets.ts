/** Connect and reset, as port scans and other balancers' TCP checks do: at every door. */

import { connect } from "node:net";
import { portsOf } from "../doors.ts";
import { again, type Attack } from "./attack.ts";

/** 200 a second at each door, ten at a time. */
const AT_A_TIME = 10;
const REST_MS = 50;

function reset(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1", () => socket.resetAndDestroy());
  return new Promise((resolve) => socket.on("close", () => resolve()).on("error", () => {}));
}

export const connectAndReset: Attack = (doors, count) => {
  for (const port of portsOf(doors)) {
    again(REST_MS, async () => {
      await Promise.all(Array.from({ length: AT_A_TIME }, () => reset(port)));
      for (let times = 0; times < AT_A_TIME; times++) count("connections reset");
    });
  }
};
