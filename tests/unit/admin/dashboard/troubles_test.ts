// What the page and `top` say is the matter beside the backends.

import { assertEquals } from "@std/assert";
import { sourceText, storeText, troublesOf } from "../../../../src/admin/dashboard/troubles.js";
import type { Status } from "../../../../src/admin/dashboard/status.d.ts";
import { verdictOf } from "../../../../src/admin/dashboard/verdict.js";
import { backendStatus, poolStatus, status } from "../../../support/status.ts";

const NOW = Date.parse("2026-01-01T00:02:00.000Z");
const AT = "2026-01-01T00:00:00.000Z";
const LATER = "2026-01-01T00:01:00.000Z";

type Source = Status["pools"][string]["source"];

const stale: Source = { kind: "file", ok: false, lastSuccess: AT, staleSince: LATER, error: "no such file" };
const silent: Source = { kind: "http", ok: false, lastSuccess: null, staleSince: LATER, error: "refused" };
const fresh: Source = { kind: "file", ok: true, lastSuccess: AT, staleSince: null, error: null };
const well = { up: true, lastSuccess: AT, error: null, replicas: 2, changes: 1, local: 0, disagreements: 0 };
const away = { ...well, up: false, error: "connection refused" };

const pool = (source: Source) => ({ ...poolStatus([backendStatus("a")]), source });

function verdict(differs: Partial<Pick<Status, "pools" | "cluster" | "certificates">>, alive = true) {
  const shown = status(60, [backendStatus("a", { alive })], differs);
  const { level, headline, details } = verdictOf(shown, NOW);
  return [level, headline, ...details.map(({ url, text }) => `${url}: ${text}`)];
}

Deno.test("sourceText() says where backends come from, and since when the list is old", () => {
  assertEquals(sourceText(fresh, NOW), "from file");
  assertEquals(sourceText(stale, NOW), "from file, stale for 1 min: no such file");
  assertEquals(sourceText(silent, NOW), "from http, no answer for 1 min: refused");
  assertEquals(sourceText({ ...fresh, kind: "static" }, NOW), "");
});

Deno.test("storeText() says whether the store is there, and when it was last", () => {
  assertEquals(storeText(well, NOW), "store connected");
  assertEquals(storeText(away, NOW), "store away, last reached 2 min ago: connection refused");
  assertEquals(storeText({ ...away, lastSuccess: null }, NOW), "store away, never reached: connection refused");
});

Deno.test("verdictOf() says when a list of backends is old, or never came", () => {
  assertEquals(verdict({ pools: { default: pool(fresh) } })[0], "ok");
  assertEquals(verdict({ pools: { default: pool(stale) } }), [
    "warning",
    "The pool goes by an old list of backends",
    "file: from file, stale for 1 min: no such file",
  ]);
  assertEquals(verdict({ pools: { default: pool(fresh), api: pool(silent) } }), [
    "warning",
    "Pool api has no list of backends yet",
    "pool api: from http, no answer for 1 min: refused",
  ]);
});

Deno.test("verdictOf() says when the store of the replicas is away, and where they disagree", () => {
  assertEquals(verdict({ cluster: well })[0], "ok");
  assertEquals(verdict({ cluster: away }), [
    "warning",
    "The store of the replicas is away: changes are refused",
    "cluster: store away, last reached 2 min ago: connection refused",
  ]);
  assertEquals(verdict({ cluster: { ...well, disagreements: 2 } }), [
    "warning",
    "The replicas disagree about 2 backends",
    "cluster: 2 backends are up for some and down for others",
  ]);
  assertEquals(troublesOf(status(60, [], { cluster: { ...away, disagreements: 1 } }), NOW).length, 2);
});

Deno.test("verdictOf() speaks of backends first", () => {
  const [level, headline, ...details] = verdict({ cluster: away }, false);
  assertEquals([level, headline, details.length], ["bad", "Every backend is down: requests get 503", 2]);
});

Deno.test("verdictOf() says when a certificate ends soon, has ended, or could not be renewed", () => {
  const certificate = { names: ["a.example", "b.example"], source: "files", endsSoon: false, error: null } as const;
  const shown = (
    differs: object,
  ) => [{ ...certificate, expires: "2026-01-03T00:02:00.000Z", ...differs, names: ["a.example"] }];
  assertEquals(verdict({ certificates: shown({}) })[0], "ok");
  assertEquals(verdict({ certificates: shown({ endsSoon: true }) }), [
    "warning",
    "The certificate for a.example expires in 2 d",
    "a.example: certificate expires in 2 d",
  ]);
  assertEquals(verdict({ certificates: shown({ endsSoon: true, expires: AT }) }), [
    "warning",
    "The certificate for a.example has expired",
    "a.example: certificate has expired",
  ]);
  assertEquals(verdict({ certificates: shown({ error: "no such host" }) }), [
    "warning",
    "The certificate for a.example could not be renewed",
    "a.example: certificate expires in 2 d: no such host",
  ]);
});
