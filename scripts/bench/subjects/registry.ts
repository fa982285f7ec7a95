/** Every subject the benchmark knows, in the order of the tables. A further one is a file and a line here. */
import type { Subject } from "../subject.ts";
import { caddy } from "./caddy.ts";
import { go } from "./go.ts";
import { haproxy } from "./haproxy.ts";
import { nginx } from "./nginx.ts";
import { roundhouse } from "./roundhouse.ts";
import { stub } from "./stub.ts";

/** All of them. */
export const subjects: readonly Subject[] = [
  roundhouse("wire", 1),
  roundhouse("wire", 2),
  roundhouse("fetch", 1),
  roundhouse("fetch", 2),
  stub,
  haproxy,
  nginx,
  caddy,
  go,
];
