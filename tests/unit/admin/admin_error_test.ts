// How the admin API's refusals look.

import { assertEquals } from "@std/assert";
import { AdminError, invalidFields, problemResponse } from "../../../src/admin/admin_error.ts";

Deno.test("problemResponse() is a problem of RFC 9457 with the headers that go with it", async () => {
  const response = problemResponse(new AdminError(405, "got PUT", { allow: "GET, HEAD" }));
  assertEquals(response.status, 405);
  assertEquals(response.headers.get("content-type"), "application/problem+json");
  assertEquals(response.headers.get("allow"), "GET, HEAD");
  assertEquals(await response.json(), {
    type: "about:blank",
    title: "Method Not Allowed",
    status: 405,
    detail: "got PUT",
  });
});

Deno.test("invalidFields() names each field, the whole where there is none, and counts what is too much", () => {
  const problem = invalidFields([
    { path: ["weight"], text: "got -1, want a whole number from 0 to 256" },
    { path: [], text: "got a list, want an object" },
  ], "body");
  assertEquals(problem.status, 400);
  assertEquals(problem.message, "weight: got -1, want a whole number from 0 to 256; body: got a list, want an object");
  const many = Array.from({ length: 12 }, (_, index) => ({ path: [`f${index}`], text: "unknown setting" }));
  const parts = invalidFields(many, "body").message.split("; ");
  assertEquals([parts.length, parts.at(-2), parts.at(-1)], [11, "f9: unknown setting", "and 2 more"]);
});
