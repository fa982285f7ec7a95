import { assertEquals } from "@std/assert";
import { Watchdog } from "../../../src/service/watchdog.ts";
import { waitFor } from "../../support/wait.ts";

Deno.test("Watchdog tells again and again while the program works, and no more after close()", async () => {
  let told = 0;
  const watchdog = new Watchdog({ limitMs: 10, works: () => Promise.resolve(), tell: () => told++ });
  await waitFor(() => told >= 3, { what: "three messages" });
  watchdog.close();
  const before = told;
  await new Promise((resolve) => setTimeout(resolve, 30));
  assertEquals(told, before);
});

Deno.test("Watchdog is silent while a worker does not answer, asks it only once, and goes on when it answers", async () => {
  let [told, asked] = [0, 0];
  let answer = () => {};
  const works = () => {
    asked++;
    return new Promise<void>((resolve) => answer = resolve);
  };
  const watchdog = new Watchdog({ limitMs: 4, works, tell: () => told++ });
  await new Promise((resolve) => setTimeout(resolve, 40)); // far more than the limit
  assertEquals([told, asked], [0, 1]);
  answer();
  await waitFor(() => told === 1 && asked === 2, { what: "the next question" });
  watchdog.close();
});

Deno.test("Watchdog is silent for ever when it can't find out whether the program works", async () => {
  let told = 0;
  const works = () => Promise.reject(new Error("the workers have ended"));
  const watchdog = new Watchdog({ limitMs: 2, works, tell: () => told++ });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(told, 0);
  watchdog.close();
});
