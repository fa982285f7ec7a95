import { assert, assertEquals } from "@std/assert";
import { OwnWord } from "../../../src/cluster/own_word.ts";
import { Presence } from "../../../src/cluster/presence.ts";
import { FakeTime } from "../../support/fake_time.ts";

function said(fields: Record<string, unknown> = {}): string {
  return JSON.stringify({ version: "1.0.0", admin: "10.0.0.1:8081", changes: 3, view: "", ...fields });
}

Deno.test("Presence has the replicas of the last heartbeat, with the age of their words by the store's clock", () => {
  using time = new FakeTime();
  const presence = new Presence("b");
  assertEquals(presence.statuses(null), []);
  presence.heard([{ id: "b", ageMs: 0, said: said() }, { id: "a", ageMs: 700, said: said({ view: "m1" }) }]);
  time.advance(100);
  assertEquals(presence.statuses({}).map(({ id, self, ageMs, health }) => [id, self, ageMs, health]), [
    ["a", false, 800, null],
    ["b", true, 100, {}],
  ]);
});

Deno.test("Presence asks for what others think of the backends, once for each time that it changes", () => {
  const presence = new Presence("b");
  const words = (
    view: string,
  ) => [{ id: "a", ageMs: 0, said: said({ view }) }, { id: "b", ageMs: 0, said: said({ view: "x" }) }];
  presence.heard(words("m1"));
  assertEquals(presence.nextUnknown(), "a");
  presence.learn("a", ""); // not there yet
  assertEquals(presence.nextUnknown(), "a");
  presence.learn("a", `{"default":{"http://a:1":"up"}}`);
  assertEquals(presence.nextUnknown(), undefined);
  presence.heard(words("m1"));
  assertEquals(presence.nextUnknown(), undefined);
  assertEquals(presence.statuses(null)[0]?.health, { default: { "http://a:1": "up" } });
  presence.heard(words("m2"));
  assertEquals(presence.nextUnknown(), "a");
  presence.learn("a", `{"default":{"http://a:1":"asleep"}}`); // a lie
  assertEquals([presence.nextUnknown(), presence.statuses(null)[0]?.health], [undefined, null]);
});

Deno.test("Presence leaves out what no roundhouse says", () => {
  const presence = new Presence("b");
  const lies = ["", "{", "null", "[]", said({ changes: -1 }), said({ admin: "x".repeat(1000) }), `{"version":1}`];
  presence.heard([...lies.map((said, index) => ({ id: `${index}`, ageMs: 0, said })), {
    id: "a",
    ageMs: 0,
    said: said(),
  }]);
  assertEquals(presence.statuses(null).map(({ id }) => id), ["a"]);
});

Deno.test("OwnWord sends what it thinks of the backends seldom, and again in case the store has lost it", () => {
  using time = new FakeTime();
  const word = new OwnWord({ version: "1", admin: () => "a:1" });
  assertEquals(word.next(0, true), { said: said({ version: "1", admin: "a:1", changes: 0 }), view: "" });
  const mark = () => JSON.parse(word.next(0, false).said).view as string;
  time.advance(2000);
  word.report({ default: { "http://a:1": "up" } });
  assertEquals(word.next(1, false).view, `{"default":{"http://a:1":"up"}}`);
  const first = mark();
  assert(first !== "");
  word.report({ default: { "http://a:1": "down" } });
  time.advance(1999);
  assertEquals([word.next(1, false).view, mark()], ["", first]);
  time.advance(1);
  assertEquals(word.next(1, false).view, `{"default":{"http://a:1":"down"}}`);
  assert(mark() !== first);
  time.advance(9999);
  assertEquals(word.next(1, false).view, "");
  time.advance(1);
  assertEquals(word.next(1, false).view, `{"default":{"http://a:1":"down"}}`);
  assertEquals(word.next(1, true).view, `{"default":{"http://a:1":"down"}}`);
});
