import { assertEquals } from "@std/assert";
import { Uploads } from "../../../src/engines/uploads.ts";
import { settle } from "../../support/wait.ts";

/** Settles at the end of what is arriving, for two who wait; `ended` says how many of them know. */
function waitTwice(uploads: Uploads): { ended: number } {
  const told = { ended: 0 };
  for (let time = 0; time < 2; time++) uploads.allEnded().then(() => told.ended++);
  return told;
}

Deno.test("Uploads.allEnded() settles at once while nothing is arriving", async () => {
  const uploads = new Uploads();
  await uploads.allEnded();
  uploads.begin();
  uploads.end();
  await uploads.allEnded();
});

Deno.test("Uploads.allEnded() settles at the end of the last body, for all who wait", async () => {
  const uploads = new Uploads();
  uploads.begin();
  uploads.begin();
  const told = waitTwice(uploads);
  uploads.end();
  await settle();
  assertEquals(told.ended, 0);
  uploads.end();
  await settle();
  assertEquals(told.ended, 2);
});

Deno.test("Uploads.allEnded() waits for a body that begins as the last one ends", async () => {
  // The engine `fetch` counts a body of which no header tells once while it looks at it, and again as it forwards it.
  const uploads = new Uploads();
  uploads.begin();
  const told = waitTwice(uploads);
  uploads.end();
  uploads.begin();
  await settle();
  assertEquals(told.ended, 0);
  uploads.end();
  await settle();
  assertEquals(told.ended, 2);
});
